"""Known failures, their causes and fixes: the table `failures.json`, searched for in a log or an error message.

The table holds plain texts, not patterns: looking for them takes time in proportion to the text, however long a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from movielora.errors import DataError, NoLiveRunError
from movielora.runs.lookup.find import find_run

# What is shown of a line: this many characters before and after the place that was recognised.
_BEFORE, _AFTER = 100, 300
_PASTE = "paste it instead: movielora doctor --explain -"
# What makes a line look like an error, if no known failure is in it.
_ERROR_SIGNS = ("Error:", "Exception:", "error:", "ERROR:", "fatal:")


@dataclass(frozen=True)
class Explanation:
    """One known failure in a text: the line that shows it (`number` from 1), why, and what to do."""

    subject: str
    name: str
    number: int
    line: str
    cause: str
    fix: str
    command: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unrecognised:
    """A line (`number` from 1) that looks like an error and shows no known failure."""

    number: int
    line: str


@dataclass(frozen=True)
class Reading:
    """What is in a text: the known failures, each once, in the text's order, and the errors that are none of them."""

    known: tuple[Explanation, ...]
    unrecognised: tuple[Unrecognised, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "failures": [each.as_json() for each in self.known],
            "unrecognised": [asdict(each) for each in self.unrecognised],
        }


@dataclass(frozen=True)
class _Row:
    """A line of the table. A text shows the failure if it holds one text of each group, group after group.

    Words match in any case; a name (a text without a space) only as it is written. A `general` row counts only if the
    line shows no other failure.
    """

    groups: tuple[tuple[str, ...], ...]
    facts: dict[str, str]
    general: bool


@cache
def _rows() -> tuple[_Row, ...]:
    text = resources.files("movielora.doctor").joinpath("failures.json").read_text("utf-8")
    return tuple(
        _Row(
            tuple(tuple(map(_as_matched, group)) for group in row.pop("texts")),
            general=row.pop("general", False),
            facts={name: str(value) for name, value in row.items()},
        )
        for row in json.loads(text)["failures"]
    )


def _as_matched(wanted: str) -> str:
    return wanted.lower() if " " in wanted else wanted


def read_given(given: str) -> str:
    """What `doctor --explain` is given: `-` for stdin, a file, a run (its log is meant), or the text itself.

    Raises DataError for a file or log that cannot be read, and for a single word that is neither a file, a run nor a
    known failure; ConfigError if several runs have the name.
    """
    if given == "-":
        return sys.stdin.read()
    if not given.strip():
        raise DataError("--explain was given an empty text", _PASTE)
    if os.path.isdir(given):  # noqa: PTH112 (Path's raises for a text that is too long for a name)
        return _read_log(_log_of_run(given))
    if os.path.exists(given):  # noqa: PTH110
        return _read_log(Path(given))
    if len(given.split()) == 1 and not explain(given):
        return _read_log(_log_of_run(given))
    return given


def _log_of_run(named: str) -> Path:
    """The log of the run `named`, by its folder or its name."""
    with suppress(NoLiveRunError):
        found = find_run(named)
        if found.holds_a_run():
            return found.log
    if os.path.isdir(named):  # noqa: PTH112
        raise DataError(f"{named} is a folder and holds no run: name a log file in it", _PASTE)
    if os.sep in named or Path(named).suffix:
        raise DataError(f"the log {named} cannot be read: there is no such file", _PASTE)
    raise DataError(f"{named} is no file, no run, and no text of a known failure", _PASTE)


def _read_log(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"the log {path} cannot be read: {error.strerror}", _PASTE) from None


def explain(text: str) -> list[Explanation]:
    """The known failures in a text, each once, at its first line and in the text's order."""
    return list(read_errors(text).known)


def read_errors(text: str) -> Reading:
    """The known failures in a text, and the lines that look like errors and are none of them."""
    known: dict[str, Explanation] = {}
    unrecognised: dict[str, Unrecognised] = {}
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        found = list(_known_in(line))
        for start, row in found:
            if row.facts["name"] not in known:
                known[row.facts["name"]] = Explanation(number=number, line=_shown(line, start), **row.facts)
        sign = -1 if found else _first(_text(line), _ERROR_SIGNS, 0)[0]
        if sign >= 0:
            shown = _shown(line, sign)
            unrecognised.setdefault(shown, Unrecognised(number, shown))
    return Reading(tuple(known.values()), tuple(unrecognised.values()))


def _known_in(line: str) -> list[tuple[int, _Row]]:
    """(place, row) of the failures in a line, by place. Of two at one place the first in the table counts."""
    text = _text(f"\n{line}\n")  # "\nKilled\n" in the table is a whole line
    taken: list[tuple[int, int, _Row]] = []
    for row in sorted(_rows(), key=lambda row: row.general):
        start, end = _place(text, row.groups)
        free = all(end <= other_start or start >= other_end for other_start, other_end, _ in taken)
        if start >= 0 and free and not (row.general and taken):
            taken.append((start, end, row))
    return [(max(0, start - 1), row) for start, _, row in sorted(taken, key=lambda each: each[0])]


class _Text(NamedTuple):
    """A text as it is written, and in small letters: character by character the same places."""

    written: str
    small: str


def _text(written: str) -> _Text:
    return _Text(written, written.replace("İ", "i").lower())  # of İ alone the small letter is two characters


def _place(text: _Text, groups: Sequence[Sequence[str]]) -> tuple[int, int]:
    """From where to where `text` shows one of each group, one after the other; (-1, -1) if it does not."""
    begin, end = -1, 0
    for group in groups:
        start, end = _first(text, group, end)
        if start < 0:
            return -1, -1
        begin = start if begin < 0 else begin
    return begin, end


def _first(text: _Text, wanted: Sequence[str], start: int) -> tuple[int, int]:
    """From where to where the first of `wanted` is in `text` from `start` on; (-1, -1) if none is."""
    found = [
        (place, place + len(each))
        for each in wanted
        if (place := (text.small if " " in each else text.written).find(each, start)) >= 0
    ]
    return min(found, default=(-1, -1))


def _shown(line: str, start: int) -> str:
    """The part of a line around the place `start`; of a progress bar that was redrawn, the last state before it."""
    begin = max(0, start - _BEFORE, line.rfind("\r", 0, start) + 1)
    return " ".join(line[begin : start + _AFTER].split())
