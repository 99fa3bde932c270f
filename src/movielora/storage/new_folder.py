"""A folder that is whole or absent: filled beside its place, then renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Each is lost only to a process that got further; more than a few in a row means the place itself is at fault.
_ATTEMPTS = 5


@contextmanager
def new_folder(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """An empty folder beside `folder` to write into; at the end it becomes `folder`, after an error it is gone.

    A folder that another process put there meanwhile stays, as long as it `is_whole`; a damaged one is replaced.
    Raises OSError where the place cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.parent))
    try:
        yield staging
        _publish(staging, folder, is_whole)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Rename `staging` to `folder`. Another process may publish, or clear a damaged folder away, between any two of
    these lines; whoever loses such a step looks again, and the last word is the file system's."""
    for attempt in range(_ATTEMPTS):
        try:
            staging.rename(folder)
            return
        except OSError:
            if folder.is_dir() and is_whole(folder):
                return
            if attempt == _ATTEMPTS - 1:
                raise
        if folder.is_dir():
            _clear_away(folder)


def _clear_away(folder: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.parent))
    try:
        with suppress(FileNotFoundError):  # the other process did
            folder.rename(aside)  # an empty folder gives way to a renamed one
    finally:
        shutil.rmtree(aside, ignore_errors=True)
