"""A folder that is whole or absent: filled beside its place, then renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


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
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        if not is_whole(folder):
            aside = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.parent))
            folder.rename(aside)  # an empty folder gives way to a renamed one
            shutil.rmtree(aside, ignore_errors=True)
            _publish(staging, folder, is_whole)
