"""A working folder that says which process fills it, so that what a killed one left can be told and removed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from movielora.storage.atomic import read_json, write_json_atomically
from movielora.storage.process import host, identity_from, is_alive, this_process

OWNER = ".owner.json"


def owned_path(parent: Path, name: str) -> Path:
    """`.NAME.partial-PID-RANDOM` in `parent`, for `make_owned`: containers that share a folder may share a PID."""
    return parent / f".{name}.partial-{os.getpid()}-{secrets.token_hex(4)}"


def make_owned(folder: Path) -> None:
    """Make `folder` and sign it, so that other users can read whose it is. Raises OSError, leaving nothing of it."""
    folder.mkdir()
    try:
        signature = folder / OWNER
        write_json_atomically(signature, {**this_process().to_json(), "host": host()}, durable=False)
        signature.chmod(0o644)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def disown(folder: Path) -> None:
    """Take the signature off, once the folder's files are in their place."""
    (folder / OWNER).unlink(missing_ok=True)


def remove_abandoned(parents: Iterable[Path], name: str) -> list[Path]:
    """Remove the working folders for `name` whose process is gone; returns those removed.

    In doubt a folder stays: one whose signature is missing or cannot be read, and one that another machine signed,
    whose processes cannot be seen from here. A parent that cannot be listed is passed over.
    """
    pattern = re.compile(rf"\.{re.escape(name)}\.partial-\d+-[0-9a-f]+")
    removed = []
    for folder in (found for parent in parents for found in _folders(parent)):
        if pattern.fullmatch(folder.name) is None or _may_live(folder):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            removed.append(folder)
    return removed


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _may_live(folder: Path) -> bool:
    signed = read_json(folder / OWNER) or {}
    owner = identity_from(signed, accept_init=True)
    return owner is None or signed.get("host") != host() or is_alive(owner)
