"""Find films again in a text that shows them one a line. Only records that are text need it.

The lines look like `3. Heat (1995): 4.5`, and the question holds a line `Candidate film: Ran (1985)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from movielora.examples.example import Example, Film, OwnText

_NUMBERED = re.compile(r"^\d+\. ")
_NUMBERED_LINES = re.compile(r"\n(?:\d+\. [^\n]*\n?)+")
_RATED_LINE = re.compile(r"^\d+\. (?P<title>.*): (?P<rating>\d(?:\.\d+)?)$")
_CANDIDATE = re.compile(r"^Candidate film: (?P<title>.*)$")


def own_text(
    text: str, instruction: str = "", system: str | None = None, turns: tuple[tuple[str, str], ...] = ()
) -> OwnText:
    """`text` cut around its history lines, without whitespace around the whole of instruction and text."""
    text = text.rstrip() if instruction.strip() else text.strip()
    start, end = find_history(text)
    return OwnText(instruction, text[:start], text[start:end], text[end:], system, turns)


def find_history(text: str) -> tuple[int, int]:
    """Where the history starts and ends in `text`: the longest run of numbered lines (`3. …`), the first of equals.

    The end is behind the last line's newline, if it has one; (0, 0) if no line is numbered.
    """
    # Behind a newline of our own: a search for a fixed first character is several times one for a line's start.
    runs = [(found.start(), found.end() - 1) for found in _NUMBERED_LINES.finditer("\n" + text)]
    if len(runs) < 2:
        return runs[0] if runs else (0, 0)
    return max(runs, key=lambda run: text.count("\n", run[0], run[1] - 1))


def split_history(text: str) -> tuple[list[str], list[str], list[str]]:
    """The lines before, of and after the history, as `find_history` finds it."""
    start, end = find_history(text)
    if end == 0:
        return [], [], text.split("\n")
    before = text[: start - 1].split("\n") if start else []
    history = text[start:end].removesuffix("\n").split("\n")
    after = text[end:].split("\n") if text[end - 1] == "\n" else []
    return before, history, after


def parse_films(text: str) -> tuple[tuple[Film, ...], str | None]:
    """The history that `text` shows, and its candidate; an empty history and None if there are none.

    The inverse of `prompt.render`. Lines count as rated only if every one ends in a rating of 0 to 5.
    """
    _, history, after = split_history(text)
    rated = [_RATED_LINE.match(line) for line in history]
    candidate = next((found["title"] for line in after if (found := _CANDIDATE.match(line))), None)
    if history and all(found and float(found["rating"]) <= 5 for found in rated):
        return tuple(Film(found["title"], float(found["rating"])) for found in rated if found), candidate
    return tuple(Film(_NUMBERED.sub("", line)) for line in history), candidate


def known_films(example: Example) -> tuple[tuple[Film, ...], str | None]:
    """History and candidate of an example; read from its text if it brings no structure."""
    if example.history is not None or example.text is None:
        return example.history or (), example.candidate
    return parse_films(example.text.input)


def reask(example: Example, films: Sequence[int]) -> Example:
    """The same question about other films: those at the indices `films` of the history, in that order.

    In an example that is text the lines are moved and numbered again; every other word stays as it came.
    """
    if example.text is None:
        shown = example.history or ()
        return replace(example, history=tuple(shown[index] for index in films))
    text = example.text
    lines = text.history.removesuffix("\n").split("\n")
    moved = [_NUMBERED.sub(f"{number}. ", lines[index]) for number, index in enumerate(films, 1)]
    end = "\n" if text.history.endswith("\n") else ""
    return replace(example, text=replace(text, history="\n".join(moved) + end if moved else ""))
