"""Standard output and standard error: what goes where, and how it looks.

Results go to stdout. Progress, notes, warnings and errors go to stderr, so that `--json` leaves stdout to exactly
one object and `movielora … | less` shows only results.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from io import TextIOBase
from typing import Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from movielora.console.encoding import shows_unicode
from movielora.errors import ConfigError, MovieloraError, ReaderGoneError, StoppedError

# Output wider than this is hard to read; a narrower terminal is used as it is.
_MAX_WIDTH = 120
# Without a terminal to ask: the width every terminal has.
_PIPE_WIDTH = 80
# A column of words is not folded to less.
_FOLDED = 12
_UNLIMITED = 10_000
# What a terminal obeys or cannot show: control characters except newline and tab, marks that change the direction of
# writing, line separators, unpaired surrogates.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_WORD = re.compile(r"\S+\s*|\s+")
# A command up to a comma or semicolon outside quotes is one word: broken in two it could not be copied.
_COMMAND_OR_WORD = re.compile(r"(?:movielora|rm|mv|hf|ls|pip|tail) (?:'[^']*'|[^;,'])*\S*\s*|\S+\s*|\s+")


def visible(text: str) -> str:
    """Return text as a terminal may show it: an escape character becomes `\\x1b`, a direction mark `\\u202e`.

    Every console here applies it to all that it draws; call it yourself before counting a width.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class FigureTable(Table):
    """A table none of whose figures is ever cut: a column that must not wrap has the width that it needs, even if the
    table gets wider than the console; the others fold down to a few letters first."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(max_width=_UNLIMITED, no_wrap=True)
        for column in self.columns:
            cells = [column.header, *column.cells]
            needed = max(Measurement.get(console, unlimited, cell).maximum for cell in cells)
            if not column.no_wrap:
                needed = min(needed, _FOLDED)
            column.min_width = min(needed, column.max_width or needed)
        _, right, _, left = self.padding
        width = sum(column.min_width or 0 for column in self.columns) + (left + right) * (len(self.columns) - 1)
        return super().__rich_console__(console, options.update(width=max(width, options.max_width)))


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """A table of figures may be wider than the console: a line that a terminal breaks loses nothing."""
        if any(isinstance(each, FigureTable) for each in objects):
            options.setdefault("crop", False)
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Let work continue if nobody reads stderr; end the program if nobody reads its result.

        Raises ReaderGoneError.
        """
        self.quiet = True
        _leave(sys.stderr if self.stderr else sys.stdout)
        if not self.stderr:
            raise ReaderGoneError from None


def _leave(stream: TextIO) -> None:
    """Redirect a stream without a reader to the null device; otherwise Python's last flush would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    probe = Console(stderr=stderr, highlight=False)
    width = min(probe.width, _MAX_WIDTH) if stream.isatty() else _PIPE_WIDTH
    return _Console(stderr=stderr, highlight=False, width=width, soft_wrap=False)


def stdout() -> Console:
    """Return a new console on standard output, so that a replaced `sys.stdout` (a test, a pipe) is used."""
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def emit_json(value: Any, indent: int | None = None) -> None:
    """Print exactly one JSON object on stdout; NaN and infinities, which JSON lacks, become null.

    Raises ReaderGoneError.
    """
    ascii_only = not shows_unicode(sys.stdout)
    text = json.dumps(_finite(value), ensure_ascii=ascii_only, default=str, allow_nan=False, indent=indent)
    try:
        sys.stdout.write(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _leave(sys.stdout)
        raise ReaderGoneError from None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def plain_table(*columns: str, title: str = "") -> FigureTable:
    """Return a borderless table: the first column is text, the others are figures aligned to the right."""
    table = FigureTable(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for index, name in enumerate(columns):
        # An ellipsis would hide a figure: fold text, never cut numbers.
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index > 0)
    return table


def on_stream(stream: TextIOBase) -> Console:
    """Return a console that writes plain text to `stream`, such as a log."""
    file = cast("TextIO", stream)
    return _Console(file=file, highlight=False, width=_PIPE_WIDTH, soft_wrap=False, no_color=True, force_terminal=False)


def show_error(error: MovieloraError, *, as_json: bool = False, console: Console | None = None) -> None:
    """Print one sentence and the next step on `console` (None: stderr), and with `as_json` as one object on stdout.

    Raises ReaderGoneError.
    """
    console = console or stderr()
    label = "[bold]stopped:[/]" if isinstance(error, StoppedError) else "[bold red]error:[/]"
    print_sentence(console, label, error.message)
    problems = error.problems if isinstance(error, ConfigError) else ()
    for problem in problems:
        print_sentence(console, " ", problem)
    if error.next_step:
        print_sentence(console, "[dim]next:[/] ", error.next_step, commands=True)
    if as_json:
        said = {"message": error.message, "next": error.next_step or None, "problems": list(problems)}
        emit_json({"error": {**said, "exit_code": error.exit_code}})


def print_sentence(console: Console, label: str, text: str, style: str = "", *, commands: bool = False) -> None:
    """Print `text` behind `label`, which is markup; text from data is escaped.

    On a terminal, lines break between words only, and with `commands` a command in the text keeps its line, so that it
    can be copied. Elsewhere a sentence is one line.
    """
    start = f"{label} " if label else ""
    indent = cell_len(Text.from_markup(start).plain)
    words = _COMMAND_OR_WORD if commands else _WORD
    lines = list(_broken(visible(text), words, console.width - indent)) if console.is_terminal else [text]
    for index, line in enumerate(lines):
        console.print((" " * indent if index else start) + escape(line), style=style, soft_wrap=True)


def _broken(text: str, words: re.Pattern[str], width: int) -> Iterator[str]:
    """Lines of at most `width` cells, if no word is longer; what has lines of its own keeps them."""
    if cell_len(text) <= width or "\n" in text:
        yield text
        return
    line = ""
    for word in words.findall(text):
        if line and cell_len(line + word.rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += word
    yield line.rstrip()
