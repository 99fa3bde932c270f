"""A folder that is complete or absent: the one way in which checkpoints, caches, datasets and adapters are written.

A folder is filled under a working name, inside or beside its place, so that taking its own name is one rename. A
signature in it names the process that fills it. At the end every file is synced to the disk, the folder is renamed,
and the signature is removed. A process that fails removes its working folder; one that is killed leaves it behind,
signed, and the next process for the same place finds that its owner is gone and removes it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movielora.storage.atomic import read_json, sync, write_json_atomically
from movielora.storage.process import host, identity_from, is_alive, this_process

OWNER = ".owner.json"
# A rename is lost only to a process that got further; more than a few in a row means the place itself is at fault.
_ATTEMPTS = 5


@contextmanager
def complete_folder(folder: Path, is_complete: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder to write into; at the end it becomes `folder`, private to the user; after an error it is
    removed.

    Several processes may make the same folder at once: one that another process has published stays if it
    `is_complete`, and a damaged one is replaced. Raises OSError if the place cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned([folder.parent], folder.name)
    with working_folder(working_path(folder.parent, folder.name)) as working:
        yield working
        replace(working, folder, keep=is_complete)


@contextmanager
def working_folder(working: Path) -> Iterator[Path]:
    """Make the signed folder `working`, private to the user; what has not been published at the end is removed."""
    make_working_folder(working, mode=0o700)
    try:
        yield working
    finally:
        shutil.rmtree(working, ignore_errors=True)


def working_path(parent: Path, name: str) -> Path:
    """`.NAME.partial-PID-RANDOM` in `parent`: random, because containers that share a folder may share a PID."""
    return parent / f".{name}.partial-{os.getpid()}-{secrets.token_hex(4)}"


def make_working_folder(working: Path, mode: int = 0o777) -> None:
    """Make `working` and sign it, so that other users can read whose it is. Raises OSError, leaving nothing of it."""
    working.mkdir(mode=mode)
    try:
        _sign(working)
    except BaseException:
        shutil.rmtree(working, ignore_errors=True)
        raise


def publish(working: Path, target: Path) -> None:
    """Rename `working` to `target`, after every file of it is on the disk. Raises OSError if `target` has files."""
    _sync_tree(working)
    working.rename(target)
    _finish(target)


def replace(
    working: Path, target: Path, *, keep: Callable[[Path], bool] = lambda folder: False, aside: Path | None = None
) -> None:
    """Publish `working` as `target`, in place of a folder that is there already, unless `keep` says that it stays.

    Between the two renames the earlier folder waits at `aside`, from where the caller can bring it back after a crash;
    without `aside` it waits under a signed working name. Another process may publish, or clear a damaged folder away,
    between any two steps: whoever loses a step looks again, and the file system decides.
    """
    _sync_tree(working)
    put_aside: list[Path] = []
    for attempt in range(_ATTEMPTS):
        try:
            working.rename(target)
            _finish(target)
            break
        except OSError:
            if not working.is_dir():  # renamed; what failed came after
                raise
            if target.is_dir() and keep(target):
                break
            if attempt == _ATTEMPTS - 1:
                raise
        if target.is_dir():
            put_aside.append(_put_aside(target, aside))
    for earlier in put_aside:
        shutil.rmtree(earlier, ignore_errors=True)


def move_entries(entries: Iterable[Path], source: Path, target: Path) -> None:
    """Rename files and folders below `source` to the same places below `target`, in their order. Raises OSError."""
    for entry in entries:
        place = target / entry.relative_to(source)
        place.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        entry.rename(place)


def remove_signature(folder: Path) -> None:
    """Take the signature out of a folder whose files are in their place."""
    (folder / OWNER).unlink(missing_ok=True)


def remove_abandoned(parents: Iterable[Path], name: str) -> list[Path]:
    """Remove the working folders for `name` whose process is gone (`abandoned_folders`); returns those removed."""
    removed = []
    for folder in abandoned_folders(parents, name):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            removed.append(folder)
    return removed


def abandoned_folders(parents: Iterable[Path], name: str) -> list[Path]:
    """The working folders for `name` whose process is gone.

    In doubt a folder is not among them: one whose signature is missing or cannot be read, and one that another machine
    signed, whose processes cannot be seen from here. A parent that cannot be listed is skipped.
    """
    found = working_folders(parents, name)
    return [folder for folder in found if not _may_live(folder)]


def working_folders(parents: Iterable[Path], name: str) -> list[Path]:
    """The working folders for `name`, of processes that live or are gone; a parent that cannot be listed is skipped."""
    pattern = re.compile(rf"\.{re.escape(name)}\.partial-\d+-[0-9a-f]+")
    return [folder for parent in parents for folder in _folders(parent) if pattern.fullmatch(folder.name)]


def _sign(folder: Path) -> None:
    signature = folder / OWNER
    write_json_atomically(signature, {**this_process().to_json(), "host": host()}, durable=False)
    signature.chmod(0o644)


def _put_aside(target: Path, aside: Path | None) -> Path:
    """Move `target` out of the way and return where it is now."""
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
        return aside
    waiting = working_path(target.parent, target.name)
    with suppress(FileNotFoundError):  # another process was faster
        _sign(target)
        target.rename(waiting)
    return waiting


def _finish(target: Path) -> None:
    remove_signature(target)
    sync(target.parent)


def _sync_tree(folder: Path) -> None:
    paths = list(folder.rglob("*"))
    for path in (*(path for path in paths if path.is_file()), *(path for path in paths if path.is_dir()), folder):
        sync(path)


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
