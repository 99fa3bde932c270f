"""The dataset folder: written whole beside its place, then moved in.

interactions.parquet, films.parquet, meta.json    the dataset
train.json, eval.json, test_raw.jsonl             the same examples as JSON for other tools, if they were exported
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from movielora.dataset.names import FILMS, INTERACTIONS, META, TEST
from movielora.errors import OutputError
from movielora.progress import SILENT, Reporter
from movielora.storage.complete_folder import (
    OWNER,
    make_working_folder,
    move_entries,
    publish,
    remove_abandoned,
    working_path,
)

# Every name that a dataset folder of ours can hold (movies.jsonl: of earlier versions); others are the user's and stay.
_OURS = ("train.json", "train.jsonl", "eval.json", "eval.jsonl", TEST, "movies.jsonl", INTERACTIONS, FILMS, META)


@contextmanager
def staged_folder(output_dir: Path, reporter: Reporter = SILENT) -> Iterator[Path]:
    """A folder to write into, whose files take their place in `output_dir` when the block ends well.

    It is inside `output_dir`, or beside it if that is new, so that moving is renaming. After an error or an
    interruption nothing of it is left; what a killed process left is removed by the next one, which reports it. Files
    of an earlier dataset are replaced, `meta.json` last; others are kept.

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
            f"{output_dir} cannot be written: {reason}.", "Free some space, fix its permissions, or give another one."
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
