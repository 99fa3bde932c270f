"""The dataset's entry in `dataset_info.json` beside its folder, in the form of LLaMA-Factory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from movielora.dataset.names import DATASET_INFO, split_file
from movielora.errors import DataError, OutputError, first_line
from movielora.storage.atomic import write_json_atomically

_EXPORTS = ("json", "jsonl")


def read_dataset_info(output_dir: Path) -> dict[str, Any]:
    """The entries of `dataset_info.json` beside the dataset folder; empty if there is none.

    Raises:
        DataError: the file is there and is not a JSON object.
    """
    path = _info_path(output_dir)
    return read_entries(path) if path.exists() else {}


def read_entries(path: Path) -> dict[str, Any]:
    """The entries of the `dataset_info.json` at `path`, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, or is not a JSON object.
    """
    next_step = "Fix or move that file; other datasets may be listed in it."
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}).", next_step) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text.", next_step) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, or brackets in brackets
        raise DataError(f"{path} is not JSON that can be read ({first_line(error)}).", next_step) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", next_step) from error
    if not isinstance(entries, dict):
        raise DataError(f"{path} holds a JSON {type(entries).__name__}, not an object of datasets.", next_step)
    return entries


def register_dataset(output_dir: Path, form: str, *, keep: bool = False) -> str:
    """Add or replace this dataset's entry for its exported files, keeping all others; returns the entry's name.

    With `keep` an entry of that name stays as it is, unless it is one that a preparation of another form wrote.
    Without an export (`form` is none) an entry that an earlier preparation left is removed: its files are gone.

    Raises:
        DataError: the file there is not a JSON object.
        OutputError: it cannot be written.
    """
    folder = _name(output_dir)
    name = f"{folder}_train"
    entries = read_dataset_info(output_dir)
    if keep and name in entries and entries[name] not in [_entry(folder, former) for former in _EXPORTS]:
        return name
    if form in _EXPORTS and entries.get(name) != _entry(folder, form):
        _write(output_dir, entries | {name: _entry(folder, form)})
    elif form not in _EXPORTS and entries.get(name) in [_entry(folder, former) for former in _EXPORTS]:
        _write(output_dir, {key: entry for key, entry in entries.items() if key != name})
    return name


def _entry(folder: str, form: str) -> dict[str, Any]:
    return {
        "file_name": f"{folder}/{split_file('train', form)}",
        "file_name_eval": f"{folder}/{split_file('eval', form)}",
        "formatting": "alpaca",
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        },
    }


def _write(output_dir: Path, entries: dict[str, Any]) -> None:
    path = _info_path(output_dir)
    try:
        write_json_atomically(path, entries, private=False, indent=2)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Fix its permissions.") from error


def _info_path(output_dir: Path) -> Path:
    return Path(os.path.abspath(output_dir)).parent / DATASET_INFO  # noqa: PTH100 - as in staged_folder


def _name(output_dir: Path) -> str:
    return Path(os.path.abspath(output_dir)).name  # noqa: PTH100 - as in staged_folder
