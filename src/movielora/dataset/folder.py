"""The dataset folder: written whole beside its place, then moved in.

interactions.parquet, films.parquet, meta.json    the dataset
train.json, eval.json, test_raw.jsonl             the same examples as JSON for other tools, if they were exported

A folder is movielora's only if its `meta.json` says so, and a file in it only if `meta.json` lists it and its hash is
still the one listed. No other file is ever replaced or removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.dataset.dataset import is_edited
from movielora.dataset.meta import FileFacts, recorded_files
from movielora.dataset.names import FILMS, INTERACTIONS, META, TEST
from movielora.errors import OutputError, what_helps
from movielora.progress import SILENT, Reporter
from movielora.storage.atomic import read_json
from movielora.storage.complete_folder import (
    OWNER,
    abandoned_folders,
    make_working_folder,
    move_entries,
    publish,
    remove_abandoned,
    working_folders,
    working_path,
)

# The names that `prepare` writes, or that would be read in place of what it writes.
_NAMES = ("train.json", "train.jsonl", "eval.json", "eval.jsonl", TEST, INTERACTIONS, FILMS, META)


@dataclass(frozen=True)
class EarlierDataset:
    """A dataset that movielora wrote: its `meta.json`, and whether every file that it lists is still there."""

    meta: dict[str, Any]
    is_whole: bool


def find_earlier(output_dir: Path, reporter: Reporter = SILENT) -> EarlierDataset | None:
    """The dataset of movielora's in `output_dir`; None if it is new, or holds no file of a dataset's names.

    A dataset whose move into the folder was interrupted is moved in completely, which is reported.

    Raises:
        OutputError: it is no folder, or holds files of these names that movielora did not write or that were edited.
    """
    with _using(output_dir):
        target = _absolute(output_dir)
        _refuse_no_folder(output_dir, target)
        if not target.is_dir():
            return None
        _refuse_foreign(output_dir, target)
        if _finish_interrupted_move(target):
            reporter.note(f"Moved the rest of a dataset into {output_dir}: an earlier `prepare` was killed there")
        meta = read_json(target / META)
        files = recorded_files(meta)
        if meta is None or not files:
            return None
        return EarlierDataset(meta, all((target / name).is_file() for name in files))


@contextmanager
def staged_folder(output_dir: Path, reporter: Reporter = SILENT) -> Iterator[Path]:
    """A folder to write into, whose files take their place in `output_dir` when the block ends well.

    It is inside `output_dir`, or beside it if that is new, so that moving is renaming. After an error or an
    interruption nothing of it is left; what a killed process left is removed by the next one, which reports it. Files
    of an earlier dataset are replaced, `meta.json` last; others are kept.

    Raises:
        OutputError: the folder cannot be made or written, holds files that must not be replaced (`find_earlier`),
            another process wrote a dataset into it in the meantime, or the disk is full.
    """
    target = _absolute(output_dir)
    made: list[Path] = []
    is_ours = False
    staging = working_path(target if target.is_dir() else target.parent, target.name)
    try:
        with _using(output_dir):
            _refuse_no_folder(output_dir, target)
            meta_before = _meta_bytes(target)
            made = _make_parents(staging.parent)
            if left := remove_abandoned((target.parent, target), target.name):
                reporter.note(f"Removed {', '.join(map(str, left))}: left by a `prepare` that was killed")
            make_working_folder(staging)
            is_ours = True
            yield staging
            if _meta_bytes(target) != meta_before:
                raise OutputError(
                    f"Another process wrote a dataset into {output_dir} in the meantime.",
                    "Look at it, and run the same command again if it is not what you want.",
                )
            if target.is_dir():
                _refuse_foreign(output_dir, target)  # again: the user may have edited a file while this one worked
                is_ours = False  # what is left after an interruption from here on is moved in by the next `prepare`
                _move_files(staging, target)
                is_ours = True
            else:
                publish(staging, target)
            made = []
    finally:
        if is_ours:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in reversed(made):  # only what this call made, and only if nothing else came in
            _remove_if_empty(folder)


@contextmanager
def _using(output_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"{output_dir} cannot be written: {reason}.",
            f"{what_helps(error).capitalize()}, or give another --output-dir.",
        ) from error


def _absolute(output_dir: Path) -> Path:
    return Path(os.path.abspath(output_dir))  # noqa: PTH100 - resolve() would follow the user's symlinks


def _refuse_no_folder(output_dir: Path, target: Path) -> None:
    for path in (target, *target.parents):
        if path.is_symlink() and not path.exists():
            raise OutputError(
                f"{path} is a link to {path.readlink()}, which is not there.",
                "Make that folder, or give another --output-dir.",
            )
    if target.exists() and not target.is_dir():
        raise OutputError(f"{output_dir} is a file, not a folder.", "Give another --output-dir.")


def _refuse_foreign(output_dir: Path, target: Path) -> None:
    """Raise OutputError naming the files that a dataset would replace or be confused with, and that are not ours."""
    working = working_folders((target,), target.name)  # moved in, but not yet with the meta.json that lists them
    listings = [recorded_files(read_json(folder / META)) for folder in (target, *working)]
    foreign = [name for name in _NAMES if os.path.lexists(target / name) and not _is_ours(target / name, listings)]
    if not foreign:
        return
    written = recorded_files(read_json(target / META))
    found = ", ".join(name + _remark(target / name, written.get(name)) for name in foreign)
    raise OutputError(
        f"{output_dir} holds files that movielora did not write, or not as they are; they are never replaced: {found}.",
        "Move them away, or give another --output-dir.",
    )


def _remark(path: Path, listed: FileFacts | None) -> str:
    """Why a file of a listed name is not taken for the one that was written; "" if its name is not listed."""
    if listed is None:
        return ""
    return " (edited since)" if not path.is_file() or is_edited(path, listed) else " (now a link)"


def _is_ours(path: Path, listings: list[dict[str, FileFacts]]) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if path.name == META:
        return bool(recorded_files(read_json(path)))
    return any(path.name in files and not is_edited(path, files[path.name]) for files in listings)


def _finish_interrupted_move(target: Path) -> bool:
    """Move in what is left of a dataset whose first files a killed process had moved in; whether there was one."""
    is_found = False
    for working in abandoned_folders((target,), target.name):
        files = recorded_files(read_json(working / META))
        if files and not all((working / name).exists() for name in files):
            _move_files(working, target)
            shutil.rmtree(working, ignore_errors=True)
            is_found = True
    return is_found


def _meta_bytes(target: Path) -> bytes | None:
    try:
        return (target / META).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


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
    """Move the dataset in `staging` into `target`, whose files of a dataset's names are all ours.

    `meta.json` comes last, after the files of the earlier dataset that the new one does not have are gone: at no moment
    does a `meta.json` stand beside an export that it does not list, which would be taken for an edited one.
    """
    names = sorted(path.name for path in staging.iterdir() if path.name not in (OWNER, META))
    listed = recorded_files(read_json(staging / META))
    move_entries((staging / name for name in names), staging, target)
    for stale in set(_NAMES) - {*names, *listed, META}:
        (target / stale).unlink(missing_ok=True)
    move_entries([staging / META], staging, target)
