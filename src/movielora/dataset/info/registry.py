"""The dataset's entry in `dataset_info.json` beside its folder, in the form of LLaMA-Factory.

Only entries that movielora wrote are replaced or removed. The file may be a link: what it leads to is written.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from movielora.dataset.names import DATASET_INFO, split_file
from movielora.errors import DataError, OutputError, first_line, what_helps
from movielora.progress import SILENT, Reporter
from movielora.storage.atomic import write_text_atomically
from movielora.storage.lock import exclusive

_EXPORTS = ("json", "jsonl")


class _RepeatedNameError(ValueError):
    """A JSON object holds a name twice, of which a reader would take one and drop the other."""


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
    if path.exists() and not path.is_file():  # a pipe would make the reader wait forever
        raise DataError(f"{path} is not a file.", next_step)
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
    except _RepeatedNameError as error:
        raise DataError(f"{path} holds the name `{error}` twice in one object.", "Remove or rename one.") from error
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


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedNameError(next(name for name in names if names.count(name) > 1))
    return found


def name_of_dataset(output_dir: Path) -> str:
    """What a config calls the dataset in `output_dir`: `X_train`, or `X` if the user's own entry has that name.

    Raises:
        DataError: `dataset_info.json` is not a JSON object.
        OutputError: both names are entries of the user's own, or the file cannot be written.
    """
    _target(output_dir)
    return _free_name(output_dir, read_dataset_info(output_dir))


def register_dataset(output_dir: Path, form: str, reporter: Reporter = SILENT) -> str:
    """Add this dataset's entry for its exported files, keeping all others; returns the dataset's name for a config.

    An entry of that name which movielora did not write stays, and is named to the reporter. Without an export (`form`
    is none) an entry that an earlier preparation left is removed: its files are gone. Several processes may register
    at once.

    Raises:
        DataError, OutputError: as `name_of_dataset`.
    """
    if _changed(output_dir, read_dataset_info(output_dir), form) is not None:
        target = _target(output_dir)
        try:
            with exclusive(target.with_name(f".{target.name}.lock")):
                entries = _changed(output_dir, read_dataset_info(output_dir), form)  # another process may have written
                if entries is not None:
                    _write(target, entries)
        except OSError as error:
            wait = "Wait for it, and run the same command again." if error.errno == errno.EBUSY else ""
            problem = f"{target} cannot be written: {error.strerror}."
            raise OutputError(problem, wait or f"{what_helps(error).capitalize()}.") from error
    name = _free_name(output_dir, read_dataset_info(output_dir))
    if name != _entry_name(output_dir):
        reporter.warn(
            f"{_info_path(output_dir)} has an entry `{_entry_name(output_dir)}` that movielora did not write: "
            f"it stays, and the dataset in {output_dir} is called `{name}`"
        )
    return name


def _changed(output_dir: Path, entries: dict[str, Any], form: str) -> dict[str, Any] | None:
    """The entries with that of this dataset as `form` wants it; None if they are so already."""
    name, folder = _entry_name(output_dir), _name(output_dir)
    if name in entries and not _is_ours(output_dir, entries[name]):
        return None
    if form in _EXPORTS:
        wanted = entries | {name: _entry(folder, form)}
    else:
        wanted = {key: entry for key, entry in entries.items() if key != name}
    return None if wanted == entries else wanted


def _free_name(output_dir: Path, entries: dict[str, Any]) -> str:
    name, folder = _entry_name(output_dir), _name(output_dir)
    if name not in entries or _is_ours(output_dir, entries[name]):
        return name
    if folder in entries:
        raise OutputError(
            f"{_info_path(output_dir)} has entries `{name}` and `{folder}` that movielora did not write, "
            f"so that no name would mean the dataset in {output_dir}.",
            "Rename one of them, or give another --output-dir.",
        )
    return folder


def _is_ours(output_dir: Path, entry: Any) -> bool:
    return entry in [_entry(_name(output_dir), form) for form in _EXPORTS]


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


def _write(target: Path, entries: dict[str, Any]) -> None:
    """Replace the file in one step, with the permissions that it has. Raises OSError."""
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    text = json.dumps(entries, ensure_ascii=False, indent=2)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # JSON holds half a character, UTF-8 does not
        text = json.dumps(entries, indent=2)
    write_text_atomically(target, text + "\n", private=False)
    if mode is not None:
        target.chmod(mode)


def _target(output_dir: Path) -> Path:
    """The file, or what it leads to if it is a link. Raises OutputError if that is not there or is protected."""
    path = _info_path(output_dir)
    target = Path(os.path.realpath(path))
    if path.is_symlink() and not path.exists():
        raise OutputError(f"{path} is a link to {target}, which is not there.", "Make that file, or remove the link.")
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(f"{target} cannot be written: it is read-only.", "Fix its permissions.")
    return target


def _info_path(output_dir: Path) -> Path:
    return Path(os.path.abspath(output_dir)).parent / DATASET_INFO  # noqa: PTH100 - as in staged_folder


def _name(output_dir: Path) -> str:
    return Path(os.path.abspath(output_dir)).name  # noqa: PTH100 - as in staged_folder


def _entry_name(output_dir: Path) -> str:
    return f"{_name(output_dir)}_train"
