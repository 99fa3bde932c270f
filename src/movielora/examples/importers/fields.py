"""The fields of a JSON record, checked one by one; every mistake names the place, the field and what it should be."""

from __future__ import annotations

import json
import sys
from typing import Any

from movielora.errors import DataError


def without_lone_surrogates(text: str) -> str:
    """`\\ud83c` by itself, which JSON can hold and UTF-8 cannot, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def read_text(raw: dict[str, Any], field: str, place: str) -> str:
    """The text of a field, without lone surrogates. Raises DataError if the field is absent or no text."""
    value = raw.get(field)
    if not isinstance(value, str):
        raise DataError(f"{place}: `{field}` must be text, not {type(value).__name__}")
    return without_lone_surrogates(value)


def read_optional_text(raw: dict[str, Any], field: str, place: str) -> str | None:
    """None if the field is absent or null. Raises DataError if it is no text."""
    return None if raw.get(field) is None else read_text(raw, field, place)


def read_turns(raw: dict[str, Any], field: str, place: str) -> tuple[tuple[str, str], ...]:
    """Earlier question-answer pairs. Raises DataError if they are no list of pairs of texts."""
    turns = raw.get(field)
    if not turns:
        return ()
    pairs = isinstance(turns, list) and all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn) for turn in turns
    )
    if not pairs:
        raise DataError(f"{place}: `{field}` must be a list of [question, answer] texts")
    return tuple((without_lone_surrogates(question), without_lone_surrogates(answer)) for question, answer in turns)


def read_answer(raw: dict[str, Any], place: str, field: str | None = None) -> bool:
    """True for Yes, from `field`, else from `output` or `label`. Raises DataError if it is absent, or no Yes or No."""
    if field is None:
        field = "output" if "output" in raw else "label"
    if field not in raw:
        raise DataError(
            f"{place} has no answer: neither `output` nor `label`", "write Yes or No into `output` or `label`"
        )
    value = raw[field]
    answer = value.strip().lower() if isinstance(value, str) else None
    if answer not in ("yes", "no"):
        shown = json.dumps(value, ensure_ascii=False)[:60]
        raise DataError(f"{place}: `{field}` is {shown}, neither Yes nor No", f"write Yes or No into `{field}`")
    return answer == "yes"


def read_identifier(raw: dict[str, Any], field: str, place: str) -> int | str | None:
    """A whole number or text. Raises DataError for anything else."""
    value = raw.get(field)
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise DataError(f"{place}: `{field}` must be a whole number or text")


def read_timestamp(raw: dict[str, Any], field: str, place: str) -> float | None:
    """Unix seconds. Raises DataError if the field is no number."""
    value = raw.get(field)
    if value is None or is_number(value):
        return value
    raise DataError(f"{place}: `{field}` must be a number of seconds")


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
