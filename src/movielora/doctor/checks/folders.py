"""The folders a training writes to: room and permission."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from movielora.doctor.check import Check, failure, ok, warning
from movielora.machine.units import GIB
from movielora.storage.disk import existing_parent, free_bytes

# A run of Qwen3-0.6B keeps three adapters with optimiser state, 0.4 GB; the base itself is 1.5 GB in the cache.
_COMFORTABLE, _LEAST = 5 * GIB, GIB


def check_disk(name: str, folder: Path, free: Callable[[Path], int] | None = None, *, needed: int = 0) -> Check:
    """Room where `folder` is, or will be made; `free` gives bytes, `needed` is what the config is known to need."""
    existing = existing_parent(folder)
    room = (free or free_bytes)(existing)
    found = f"{room / GIB:.1f} GiB free for {folder}"
    fix = f"free space under {existing}, or choose another folder"
    if room < max(_LEAST, needed):
        return failure(name, found, f"{max(_LEAST, needed) / GIB:.1f} GiB", fix)
    if room < max(_COMFORTABLE, needed):
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
