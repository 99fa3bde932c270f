"""Room on the disk of a folder that may not exist yet."""

from __future__ import annotations

import shutil
from pathlib import Path


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    absolute = folder.expanduser().absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def free_bytes(folder: Path) -> int:
    """Bytes that may be written where `folder` is, or will be made."""
    return shutil.disk_usage(existing_parent(folder)).free
