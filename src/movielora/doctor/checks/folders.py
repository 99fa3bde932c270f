"""The folders a training writes to: room and permission."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from movielora.doctor.check import Check, failure, ok, warning
from movielora.machine.units import GIB

# A run of Qwen3-0.6B keeps three adapters with optimiser state, 0.4 GB; the base itself is 1.5 GB in the cache.
_COMFORTABLE, _LEAST = 5 * GIB, GIB


def check_disk(name: str, folder: Path, free: Callable[[Path], int] | None = None) -> Check:
    """Room where `folder` is, or will be made; `free` gives bytes."""
    existing = existing_parent(folder)
    room = (free or _free)(existing)
    found = f"{room / GIB:.1f} GiB free for {folder}"
    fix = f"free space under {existing}, or choose another folder"
    if room < _LEAST:
        return failure(name, found, "1 GiB", fix)
    if room < _COMFORTABLE:
        return warning(name, found, "5 GiB for checkpoints and the model", fix)
    return ok(name, found)


def check_write_permission(folder: Path) -> Check:
    existing = existing_parent(folder)
    if not existing.is_dir():
        return failure("write_permission", f"{existing} is a file", "a folder", "--set output_dir=ANOTHER_FOLDER")
    if not os.access(existing, os.W_OK | os.X_OK):
        return failure(
            "write_permission", f"{existing} cannot be written", "a folder of yours", f"chmod u+w {existing}"
        )
    return ok("write_permission", f"{folder if folder == existing else existing} can be written")


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    absolute = folder.expanduser().absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
