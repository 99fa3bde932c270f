"""A working folder that says which process fills it, so that what a killed one left can be told and removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

from movielora.runs.atomic import read_json, write_json_atomically
from movielora.runs.process import host, identity_from, is_alive, this_process

_OWNER = ".owner.json"


def owned_path(parent: Path, name: str) -> Path:
    """`.NAME.partial-PID` in `parent`: this process's working folder for `name`."""
    return parent / f".{name}.partial-{os.getpid()}"


def make_owned(folder: Path) -> None:
    """Make `folder` and sign it. Raises OSError."""
    folder.mkdir()
    write_json_atomically(folder / _OWNER, {**this_process().to_json(), "host": host()}, durable=False)


def disown(folder: Path) -> None:
    """Take the signature off, before the folder's files take their place."""
    (folder / _OWNER).unlink(missing_ok=True)


def remove_abandoned(parents: Iterable[Path], name: str) -> list[Path]:
    """Remove the working folders for `name` whose process is gone; returns those removed.

    A folder that another machine signed stays: its processes cannot be seen from here. Raises OSError where a parent
    cannot be read.
    """
    pattern = re.compile(rf"\.{re.escape(name)}\.partial-(\d+)")
    removed = []
    for folder in sorted(entry for parent in parents if parent.is_dir() for entry in parent.iterdir()):
        found = pattern.fullmatch(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir() or _may_live(folder, int(found[1])):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            removed.append(folder)
    return removed


def _may_live(folder: Path, pid: int) -> bool:
    signed = read_json(folder / _OWNER) or {}
    owner = identity_from(signed)
    if owner is None:  # killed before it signed, or after it took the signature off: the name's PID must do
        return psutil.pid_exists(pid)
    return signed.get("host") != host() or is_alive(owner)
