"""The view of `movielora config`, and the table of values that `train --dry-run` shows too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from movielora.config import ResolvedConfig
from movielora.console import output


def values_table(values: Mapping[str, tuple[Any, str]]) -> Table:
    """Return a table of key, value and origin; values that the user wrote are bold."""
    table = output.plain_table("key", "value", "from")
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    table.columns[2].justify = "left"
    for key, (value, origin) in values.items():
        shown = escape(json.dumps(value, ensure_ascii=False))
        style = "dim" if origin == "default" else "bold"
        table.add_row(key, shown, origin, style=style)
    return table


def show_resolved(resolved: ResolvedConfig) -> None:
    console = output.stdout()
    console.print(values_table(resolved.with_origins()))
    for note in resolved.no_effect_notes():
        console.print(escape(note), style="dim")
