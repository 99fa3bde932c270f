"""Records: what a JSON or JSONL file says, in either form, checked and made one.

The training form is `{"instruction", "input", "output", "system", "history"}`; the test form is
`{"user_id", "history_titles", "candidate_title", "label"}`, optionally with `history_ratings`. Both may carry
`user_id`, `movie_id` and `timestamp`, and a file may mix them. A test-form record is rendered by the same template as
a training-form one, instruction included, so both become the same `Record`.
"""

from __future__ import annotations

import json
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.errors import DataError
from movielora.prompt.template import INSTRUCTION, SYSTEM, render_input, without_lone_surrogates

_NUMBERED = re.compile(r"^\d+\. ")
_NUMBERED_LINES = re.compile(r"\n(?:\d+\. [^\n]*\n?)+")
_RATED_LINE = re.compile(r"^\d+\. (?P<title>.*): (?P<rating>\d(?:\.\d+)?)$")
_CANDIDATE = re.compile(r"^Candidate film: (?P<title>.*)$")
_FORMS = (
    "a training record has `input` and `output` (with `instruction`, `system`), "
    "a test record `history_titles`, `candidate_title` and `label`"
)
_MAKE = "movielora prepare --help shows how to make a dataset"
_MEND = "mend that line: JSONL holds one record a line, JSON a list of records"


@dataclass(frozen=True, slots=True)
class Record:
    """One question and its true answer.

    `place` says where it was read (`test_raw.jsonl line 3`). `turns` are earlier question–answer pairs of the
    conversation (`history` in LLaMA-Factory's sense), usually none. The fields from `history_titles` on are there
    where the file had them.
    """

    system: str
    instruction: str
    input: str
    turns: tuple[tuple[str, str], ...]
    label: bool
    place: str
    user_id: int | str | None = None
    movie_id: int | str | None = None
    timestamp: float | None = None
    history_titles: tuple[str, ...] | None = None
    history_ratings: tuple[float, ...] | None = None
    candidate_title: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedInput:
    """What `parse_input` finds again in a rendered input; `ratings` is None where the lines hold titles alone."""

    titles: tuple[str, ...]
    ratings: tuple[float, ...] | None
    candidate: str | None


def read_records(path: Path) -> Iterator[Record]:
    """The records of a JSON array or JSONL file, in order; which of the two is seen from the first character.

    Raises DataError naming the file, the line or record, the field and what to do.
    """
    for place, raw in _read_objects(path):
        yield _to_record(raw, place)


def find_history(text: str) -> tuple[int, int]:
    """Where the history starts and ends in `text`: the longest run of numbered lines (`3. …`), the first of equals.

    The end is behind the last line's newline, where it has one; (0, 0) where no line is numbered.
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


def parse_input(text: str) -> ParsedInput:
    """The inverse of `prompt.render_input`. Lines count as rated only if every one ends in a rating of 0 to 5."""
    _, history, after = split_history(text)
    rated = [_RATED_LINE.match(line) for line in history]
    candidate = next((found["title"] for line in after if (found := _CANDIDATE.match(line))), None)
    if history and all(found and float(found["rating"]) <= 5 for found in rated):
        titles = tuple(found["title"] for found in rated if found)
        return ParsedInput(titles, tuple(float(found["rating"]) for found in rated if found), candidate)
    return ParsedInput(tuple(_NUMBERED.sub("", line) for line in history), None, candidate)


def _read_objects(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each JSON value stands, and the value. JSONL is read line by line, so that its size does not matter."""
    try:
        with path.open("rb") as file:
            start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
            file.seek(start)
            first = next((line for line in file if line.strip()), b"")
            if not first:
                raise DataError(f"{path} is empty", _MAKE)
            file.seek(start)
            yield from _array(path, file.read()) if first.lstrip().startswith(b"[") else _lines(path, file)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", _MAKE) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a JSON or JSONL file in it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _array(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    values = _parse(content, path, first_line=1)
    if not values:
        raise DataError(f"{path} holds an empty list", _MAKE)
    for number, value in enumerate(values, 1):
        yield f"{path} record {number}", value


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield f"{path} line {number}", _parse(line, path, first_line=number)


def _parse(content: bytes, path: Path, first_line: int) -> Any:
    """The JSON value that `content` is. Raises DataError naming the line of the file."""
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = first_line + content[: error.start].count(b"\n")
        raise DataError(f"{path} line {line} is not UTF-8 text", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(f"{path} line {line} is not JSON: {error.msg.lower()}", _MEND) from None
    except ValueError:  # Python refuses numbers of more than 4,300 digits
        raise DataError(f"{path} line {first_line} or below holds a number with too many digits", _MEND) from None
    except RecursionError:
        raise DataError(f"{path} line {first_line} or below is nested too deeply to be a record", _MEND) from None


def _to_record(raw: Any, place: str) -> Record:
    if not isinstance(raw, dict):
        raise DataError(f"{place} is no record but {json.dumps(raw)[:60]}", _FORMS)
    known = {
        "user_id": _identifier(raw, "user_id", place),
        "movie_id": _identifier(raw, "movie_id", place),
        "timestamp": _timestamp(raw, place),
        "label": _label(raw, place),
        "place": place,
    }
    if "history_titles" in raw and "candidate_title" in raw:
        return _from_test_form(raw, place, known)
    if "input" in raw or "instruction" in raw:
        return _from_training_form(raw, place, known)
    raise DataError(f"{place} has neither record form", _FORMS)


def _from_test_form(raw: dict[str, Any], place: str, known: dict[str, Any]) -> Record:
    titles = raw["history_titles"]
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise DataError(f"{place}: `history_titles` must be a list of texts")
    titles = [without_lone_surrogates(title) for title in titles]
    ratings = raw.get("history_ratings")
    if ratings is not None:
        if not isinstance(ratings, list) or not all(_is_number(rating) for rating in ratings):
            raise DataError(f"{place}: `history_ratings` must be a list of numbers")
        if len(ratings) != len(titles):
            raise DataError(
                f"{place}: `history_ratings` has {len(ratings)} entries, `history_titles` {len(titles)}",
                "give one rating a title",
            )
    candidate = _text(raw, "candidate_title", place)
    return Record(
        system=_text(raw, "system", place, default=SYSTEM),
        instruction=_text(raw, "instruction", place, default=INSTRUCTION),
        input=render_input(titles, ratings, candidate),
        turns=(),
        history_titles=tuple(titles),
        history_ratings=tuple(map(float, ratings)) if ratings is not None else None,
        candidate_title=candidate,
        **known,
    )


def _from_training_form(raw: dict[str, Any], place: str, known: dict[str, Any]) -> Record:
    instruction, text = _text(raw, "instruction", place, default=""), _text(raw, "input", place, default="")
    if not (instruction + text).strip():
        raise DataError(f"{place}: `instruction` and `input` are both empty")
    return Record(
        system=_text(raw, "system", place, default=SYSTEM),
        instruction=instruction,
        input=text,
        turns=_turns(raw, place),
        **known,
    )


def _text(raw: dict[str, Any], field: str, place: str, default: str | None = None) -> str:
    value = raw.get(field)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise DataError(f"{place}: `{field}` must be text, not {type(value).__name__}")
    return without_lone_surrogates(value)


def _turns(raw: dict[str, Any], place: str) -> tuple[tuple[str, str], ...]:
    turns = raw.get("history")
    if not turns:
        return ()
    pairs = isinstance(turns, list) and all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn) for turn in turns
    )
    if not pairs:
        raise DataError(f"{place}: `history` must be a list of [question, answer] texts")
    return tuple((without_lone_surrogates(question), without_lone_surrogates(answer)) for question, answer in turns)


def _label(raw: dict[str, Any], place: str) -> bool:
    field = "output" if "output" in raw else "label"
    if field not in raw:
        raise DataError(f"{place} has no answer: neither `output` nor `label`", _FORMS)
    value = raw[field]
    answer = value.strip().lower() if isinstance(value, str) else None
    if answer not in ("yes", "no"):
        shown = json.dumps(value, ensure_ascii=False)[:60]
        raise DataError(f"{place}: `{field}` is {shown}, neither Yes nor No", f"write Yes or No into `{field}`")
    return answer == "yes"


def _identifier(raw: dict[str, Any], field: str, place: str) -> int | str | None:
    value = raw.get(field)
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise DataError(f"{place}: `{field}` must be a whole number or text")


def _timestamp(raw: dict[str, Any], place: str) -> float | None:
    value = raw.get("timestamp")
    if value is None or _is_number(value):
        return value
    raise DataError(f"{place}: `timestamp` must be a number of seconds")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
