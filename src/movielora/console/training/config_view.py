"""The views of `movielora config`, and the table of values that `train --dry-run` shows too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from movielora.config import ResolvedConfig
from movielora.config.explain import KeyExplanation
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


def show_explanation(found: KeyExplanation) -> None:
    """Print one key: its meaning, then a line for each thing to know about it."""
    console = output.stdout()
    called = f"  [dim](asked for as {escape(found.asked)})[/]" if found.asked != found.key else ""
    console.print(f"[bold]{found.key}[/]{called}")
    console.print(escape(found.meaning))
    table = output.plain_table("", "")
    table.show_header = False
    table.columns[0].style = "dim"
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    shown = {
        "takes": found.takes,
        "unit": found.unit,
        "default": json.dumps(found.default, ensure_ascii=False),
        "example": found.example,
        "or": found.option,
        "excludes": found.excludes,
        "on resume": found.on_resume,
        "elsewhere": ", ".join(found.elsewhere),
    }
    for name, text in shown.items():
        if text:
            table.add_row(name, escape(text))
    console.print(table)
