"""Standard output and standard error: what goes where, and how it looks.

Results go to stdout. Progress, notes, warnings and errors go to stderr, so that `--json` leaves stdout to exactly
one object and `movielora … | less` shows only results.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movielora.errors import ConfigError, MovieloraError

# A page wider than this is hard to read; narrower terminals are taken as they are.
_MAX_WIDTH = 120
# Where there is no terminal to ask, the width every terminal has.
_PIPE_WIDTH = 80


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    probe = Console(stderr=stderr, highlight=False)
    width = min(probe.width, _MAX_WIDTH) if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, width=width, soft_wrap=False)


def stdout() -> Console:
    """A console on standard output, made anew so that a replaced `sys.stdout` (a test, a pipe) is honoured."""
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def emit_json(value: Any) -> None:
    """Print exactly one JSON object on stdout; NaN and infinities, which JSON has not, become null."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, default=str, allow_nan=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def plain_table(*columns: str, title: str = "") -> Table:
    """A borderless table: the first column is text, the others are figures aligned to the right."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for index, name in enumerate(columns):
        # An ellipsis would hide a figure: fold text, never cut numbers.
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index > 0)
    return table


def show_error(error: MovieloraError) -> None:
    """One sentence and the next step, on stderr; text from data is escaped."""
    console = stderr()
    console.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            console.print(f"  {escape(problem)}", soft_wrap=True)
    if error.next_step:
        console.print(f"[dim]next:[/]  {escape(error.next_step)}", soft_wrap=True)
