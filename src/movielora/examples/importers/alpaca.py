"""LLaMA-Factory's alpaca form: `{"instruction", "input", "output", "system", "history"}`.

The record is text, and is asked as it is written. It may carry `user_id`, `movie_id` and `timestamp`.
"""

from __future__ import annotations

from typing import Any

from movielora.dataset.info.entry import RecordColumns
from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.importers.fields import (
    read_answer,
    read_identifier,
    read_optional_text,
    read_timestamp,
    read_turns,
)
from movielora.examples.importers.form import Form
from movielora.examples.importers.rendered_text import own_text


def is_alpaca(raw: dict[str, Any]) -> bool:
    """Whether a JSON object is of this form: it has an `input` or an `instruction`."""
    return "input" in raw or "instruction" in raw


def read_alpaca(raw: dict[str, Any], place: str) -> Example:
    """The example of a record, its text as it came. Raises DataError naming `place` and the field that is wrong."""
    label, user = read_answer(raw, place), read_identifier(raw, "user_id", place)
    item, time = read_identifier(raw, "movie_id", place), read_timestamp(raw, "timestamp", place)
    instruction = read_optional_text(raw, "instruction", place) or ""
    question = read_optional_text(raw, "input", place) or ""
    if not (instruction + question).strip():
        raise DataError(f"{place}: `instruction` and `input` are both empty")
    text = own_text(question, instruction, read_optional_text(raw, "system", place), read_turns(raw, "history", place))
    return Example(None, None, label, place, user, item, time, text)


def read_by_columns(raw: dict[str, Any], place: str, columns: RecordColumns) -> Example:
    """The example of a record whose fields have the names that an entry of `dataset_info.json` gives them.

    Raises DataError naming `place` and a field that is wrong, or is not there and must be.
    """
    for role in ("prompt", "response"):
        name = columns.names.get(role)
        if name is not None and name not in raw:
            raise DataError(
                f"{place} has no `{name}`, which {columns.entry} names as its {role}",
                "fix `columns` there, or the record",
            )
    label, user = read_answer(raw, place, columns.response), read_identifier(raw, "user_id", place)
    item, time = read_identifier(raw, "movie_id", place), read_timestamp(raw, "timestamp", place)
    prompt, query = (_text(raw, name, place) for name in (columns.prompt, columns.query))
    if not (prompt + query).strip():
        raise DataError(
            f"{place}: {' and '.join(f'`{name}`' for name in (columns.prompt, columns.query) if name)} is empty"
        )
    instruction, question = (prompt, query) if columns.query else ("", prompt)  # films are looked for in the question
    system = None if columns.system is None else read_optional_text(raw, columns.system, place)
    turns = () if columns.history is None else read_turns(raw, columns.history, place)
    return Example(None, None, label, place, user, item, time, own_text(question, instruction, system, turns))


def _text(raw: dict[str, Any], name: str | None, place: str) -> str:
    return "" if name is None else read_optional_text(raw, name, place) or ""


FORM = Form("an alpaca record has `input` and `output` (with `instruction`, `system`)", is_alpaca, read_alpaca)
