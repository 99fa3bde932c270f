"""One entry of `dataset_info.json`: every field of it is honoured, or refused by its name.

The fields and their defaults are LLaMA-Factory's (`DatasetAttr` of its `data/parser.py`). With `columns`, only the
fields that it lists are read, as there: an `input` that no column names is no part of the question.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from movielora.errors import DataError

_HONOURED = ("file_name", "file_name_eval", "formatting", "columns")
_ROLES = ("prompt", "query", "response", "system", "history")
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
_REMOVE = "fix its name, or remove it"
WRITE_ENTRY = "write it as in LLaMA-Factory, or let movielora prepare write it"
_SAVE_IT = "save the data as a file, and name it as `file_name`"
# Why each other field of LLaMA-Factory's is refused, or what to do instead.
_NOT_HONOURED = {
    "tags": "they belong to conversations: write the records as `instruction`, `input` and `output`",
    "ranking": "preference data is for another training: movielora trains on Yes and No answers",
    "hf_hub_url": _SAVE_IT,
    "ms_hub_url": _SAVE_IT,
    "om_hub_url": _SAVE_IT,
    "script_url": _SAVE_IT,
    "cloud_file_name": _SAVE_IT,
    "folder": _SAVE_IT,
    "subset": _SAVE_IT,
    "split": _SAVE_IT,
    "num_samples": "remove it, and set `max_samples` in the config",
}
_OTHER_COLUMNS = ("messages", "tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")
# What such a field may say without asking for anything.
_INERT: dict[str, tuple[Any, ...]] = {"ranking": (False,), "split": ("train",), "formatting": ("alpaca",)}


@dataclass(frozen=True)
class RecordColumns:
    """Which field of a record is its prompt, its query, its response and so on; None: the record has none.

    `entry` names the entry that says so, for errors. With `if_present` it is not sure that the entry speaks of the
    file: its first record decides whether all are read by the fields or by their own form.
    """

    entry: str
    prompt: str | None
    query: str | None
    response: str
    system: str | None = None
    history: str | None = None
    if_present: bool = False

    @property
    def names(self) -> dict[str, str]:
        """The fields by their roles."""
        return {role: name for role in _ROLES if (name := getattr(self, role)) is not None}

    @property
    def key(self) -> str:
        """What tells the records that these columns make of a file from those that others make."""
        return json.dumps(self.names, sort_keys=True)

    @property
    def are_of_an_export(self) -> bool:
        """Whether a record that `prepare` wrote says the same by these columns as by its form."""
        return self.names.items() <= _ALPACA.items() and {"prompt", "query", "response"} <= self.names.keys()

    def are_in(self, raw: Mapping[str, Any]) -> bool:
        """Whether a record has the fields that each record must have."""
        return self.response in raw and (self.prompt or self.query) in raw

    def where_present(self) -> RecordColumns:
        """The same columns for a file of which it is not sure that the entry speaks."""
        return replace(self, if_present=True)

    def in_words(self) -> str:
        return ", ".join(f"{role} `{name}`" for role, name in self.names.items())


@dataclass(frozen=True)
class DatasetEntry:
    """What an entry says; `columns` is None if its records are read by their own form."""

    file_name: str | None
    file_name_eval: str | None
    columns: RecordColumns | None


def read_entry(info: Path, name: str, entry: Any) -> DatasetEntry:
    """The entry `name` of the file `info`.

    Raises:
        DataError: it is no object, or holds a field that is not honoured.
    """
    place = f"{info}: entry `{name}`"
    if not isinstance(entry, dict):
        raise DataError(f"{place} must be an object with `file_name`", WRITE_ENTRY)
    for field, value in entry.items():
        _refuse_field(place, field, value)
    files = {field: entry.get(field) for field in ("file_name", "file_name_eval")}
    named = {field: value if isinstance(value, str) else None for field, value in files.items()}
    columns = _read_columns(place, entry.get("columns"))
    return DatasetEntry(**named, columns=columns and replace(columns, entry=f"entry `{name}` of {info}"))


def _refuse_field(place: str, field: str, value: Any) -> None:
    if field not in _HONOURED and field not in _NOT_HONOURED:
        raise DataError(f"{place} has an unknown field `{field}`{_guess(field, (*_HONOURED, *_NOT_HONOURED))}", _REMOVE)
    if value is None or value in _INERT.get(field, ()):
        return
    if field == "formatting":
        raise DataError(
            f"{place} has `formatting: {_shown(value)}`, which movielora does not read",
            "write the records as `instruction`, `input` and `output`, with `formatting: alpaca`",
        )
    if field in _NOT_HONOURED and value != {}:
        raise DataError(
            f"{place} has `{field}: {_shown(value)}`, which movielora does not honour", _NOT_HONOURED[field]
        )


def _read_columns(place: str, columns: Any) -> RecordColumns | None:
    if columns is None or columns == _ALPACA:
        return None
    if not isinstance(columns, dict):
        raise DataError(f"{place}: `columns` must be an object such as {json.dumps(_ALPACA)}", _REMOVE)
    for role, name in columns.items():
        _refuse_column(place, role, name)
    response, prompt, query = (columns.get(role) for role in ("response", "prompt", "query"))
    if response is None or (prompt is None and query is None):
        missing = "response" if response is None else "prompt"
        raise DataError(f"{place}: `columns` names no `{missing}`", "name the field of the records that holds it")
    return RecordColumns(place, prompt, query, response, columns.get("system"), columns.get("history"))


def _refuse_column(place: str, role: str, name: Any) -> None:
    if role not in (*_ROLES, *_OTHER_COLUMNS):
        raise DataError(f"{place}: `columns` has an unknown name `{role}`{_guess(role, _ROLES)}", _REMOVE)
    if name is None:
        return
    if role in _OTHER_COLUMNS:
        raise DataError(
            f"{place}: `columns` names `{role}`, which movielora does not read", f"it reads {', '.join(_ROLES)}"
        )
    if not isinstance(name, str) or not name:
        raise DataError(f"{place}: the column `{role}` must be the name of a field, not {_shown(name)}", _REMOVE)


def _guess(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _shown(value: Any) -> str:
    return value[:60] if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)[:60]
