"""The dataset folder: written whole beside its place, then moved in; and its entry in `dataset_info.json`.

data/dataset_info.json            every dataset of data/, in the LLaMA-Factory form
data/movielens_qwen3/train.json, eval.json, test_raw.jsonl, movies.jsonl, meta.json
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from movielora.dataset.options import Format
from movielora.errors import DataError, OutputError
from movielora.progress import SILENT, Reporter
from movielora.storage.atomic import write_json_atomically
from movielora.storage.complete_folder import (
    OWNER,
    make_working_folder,
    move_entries,
    publish,
    remove_abandoned,
    working_path,
)

META = "meta.json"
MOVIES = "movies.jsonl"
TEST = "test_raw.jsonl"
DATASET_INFO = "dataset_info.json"
# Every name that a dataset folder of ours can hold; anything else in it is the user's and stays.
_OURS = ("train.json", "train.jsonl", "eval.json", "eval.jsonl", TEST, MOVIES, META)


def split_file(split: str, file_format: Format) -> str:
    """`train.json`, `eval.jsonl`; the test rows are always JSONL."""
    return TEST if split == "test" else f"{split}.{file_format}"


@contextmanager
def staged_folder(output_dir: Path, reporter: Reporter = SILENT) -> Iterator[Path]:
    """A folder to write into, whose files take their place in `output_dir` when the block ends well.

    It stands inside `output_dir`, or beside it where that is new, so that moving is renaming. After an error or an
    interruption nothing of it is left; what a killed process left is removed by the next one, which says so. Files of
    an earlier dataset are replaced, `meta.json` last; others are kept.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    target = Path(os.path.abspath(output_dir))  # noqa: PTH100 - resolve() would follow the user's symlinks
    made: list[Path] = []
    is_ours = False
    staging = working_path(target if target.is_dir() else target.parent, target.name)
    try:
        if target.exists() and not target.is_dir():
            raise OutputError(f"{output_dir} is a file, not a folder.", "Give another --output-dir.")
        made = _make_parents(staging.parent)
        if left := remove_abandoned((target.parent, target), target.name):
            reporter.note(f"Removed {', '.join(map(str, left))}: left by a `prepare` that was killed")
        make_working_folder(staging)
        is_ours = True
        yield staging
        if target.is_dir():
            _move_files(staging, target)
        else:
            publish(staging, target)
        made = []
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"{output_dir} cannot be written: {reason}.", "Free some space, mend its permissions, or give another one."
        ) from error
    finally:
        if is_ours:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in reversed(made):  # only what this call made, and only where nothing else came in
            _remove_if_empty(folder)


def _make_parents(folder: Path) -> list[Path]:
    """Make `folder` and what is missing above it; those made, outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    for path in missing:
        path.mkdir(exist_ok=True)
    return missing


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _move_files(staging: Path, target: Path) -> None:
    names = sorted(path.name for path in staging.iterdir() if path.name != OWNER)
    move_entries((staging / name for name in [*(name for name in names if name != META), META]), staging, target)
    for stale in set(_OURS) - set(names):
        (target / stale).unlink(missing_ok=True)


class RecordFile:
    """A file of records, one a line, written piece by piece: a JSON array for `.json`, else JSONL.

    `size` and `sha256` are of the bytes written; `content` also takes the lines alone, so that both forms of the same
    records have the same content hash. Closing it makes the file durable.
    """

    def __init__(self, path: Path, content: hashlib._Hash) -> None:
        self._is_array = path.suffix == ".json"
        self._content = content
        self._hash = hashlib.sha256()
        self._file = path.open("wb")
        self.size = 0
        self._has_records = False

    def __enter__(self) -> RecordFile:
        if self._is_array:
            self._put(b"[")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._is_array:
                    self._put(b"\n]\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, lines: Sequence[str]) -> None:
        """Append records that are JSON texts without line breaks."""
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        self._content.update(data)
        if self._is_array:  # no record holds a line break, so each one here is the end of a record
            self._put((b",\n" if self._has_records else b"\n") + data[:-1].replace(b"\n", b",\n"))
        else:
            self._put(data)
        self._has_records = True

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)


def read_dataset_info(output_dir: Path) -> dict[str, Any]:
    """The entries of `dataset_info.json` beside the dataset folder; empty where there is none.

    Raises:
        DataError: the file is there and is not a JSON object.
    """
    path = _info_path(output_dir)
    cure = "Mend or move that file; other datasets may be listed in it."
    try:
        entries = json.loads(path.read_bytes()) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}).", cure) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text.", cure) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", cure) from error
    if not isinstance(entries, dict):
        raise DataError(f"{path} holds a JSON {type(entries).__name__}, not an object of datasets.", cure)
    return entries


def register_dataset(output_dir: Path, file_format: Format) -> str:
    """Add or replace this dataset's entry in `dataset_info.json`, keeping all others; returns the entry's name.

    Raises:
        DataError: the file there is not a JSON object.
        OutputError: it cannot be written.
    """
    path = _info_path(output_dir)
    folder = _name(output_dir)
    entry = {
        "file_name": f"{folder}/{split_file('train', file_format)}",
        "file_name_eval": f"{folder}/{split_file('eval', file_format)}",
        "formatting": "alpaca",
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        },
    }
    entries = read_dataset_info(output_dir) | {f"{folder}_train": entry}
    try:
        write_json_atomically(path, entries, private=False, indent=2)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Mend its permissions.") from error
    return f"{folder}_train"


def _info_path(output_dir: Path) -> Path:
    return Path(os.path.abspath(output_dir)).parent / DATASET_INFO  # noqa: PTH100 - as in staged_folder


def _name(output_dir: Path) -> str:
    return Path(os.path.abspath(output_dir)).name  # noqa: PTH100 - as in staged_folder
