"""The lock of a run folder: held by the kernel as long as any process of the run lives.

`flock` ends with its last holder, however that ended, so a held lock decides whether a run is alive, and a recorded
PID is only a hint. Forked children (data-loader workers) inherit it: an orphan of a killed run keeps the folder taken,
and is recognised as the run's own because it has this very file open.

On a file system without `flock`, claims beside the lock file say who has the folder (`claims.py`). They end with the
main process, and one of another host, which cannot be looked at from here, holds until somebody deletes its file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psutil

from movielora.errors import shell_command
from movielora.storage.atomic import finite, read_json
from movielora.storage.claims import NO_LOCKS, Claim, claim, newest_claim
from movielora.storage.process import Identity, host, identity_from, this_process

# `probe` takes a shared lock for an instant; a starting run asks again for this long before it believes "taken".
_ACQUIRE_SECONDS = 1.0
_ACQUIRE_PAUSE_SECONDS = 0.02
# Who holds a lock of `exclusive` writes a small file; a slow network file system is given its time.
_EXCLUSIVE_SECONDS = 30.0


class FolderLock:
    """An exclusive lock on `path`, from `acquire` until `release` or the end of every process that holds it."""

    def __init__(self, path: Path, descriptor: int, claim: Claim | None = None) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self._claim = claim

    @staticmethod
    def acquire(path: Path, wait_seconds: float = _ACQUIRE_SECONDS) -> FolderLock | None:
        """The lock, with this process named inside, or None if another run holds it. Raises OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_seconds
        held = None
        try:
            while (held := _try_take(path, descriptor)) is None and time.monotonic() < deadline:
                time.sleep(_ACQUIRE_PAUSE_SECONDS)
        finally:
            if held is None:
                os.close(descriptor)
        if held is not None:
            held._name_this_process(descriptor)
        return held

    def _name_this_process(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(finite(this_process().to_json())).encode(), 0)
        except BaseException:  # a full disk
            self.release()
            raise

    def release(self) -> None:
        if self._descriptor is not None:
            # Unlocked explicitly, not only closed: a worker that lingers after a clean end must not hold it.
            if self._claim is not None:
                self._claim.release()
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for a short write that other processes make too; the file is removed at the end.

    Raises OSError if it cannot be made, or stays held by another process.
    """
    lock = _acquire_current(path, time.monotonic() + _EXCLUSIVE_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the release: who waits for this file looks whether it is still the one
        lock.release()


def probe(path: Path) -> Literal["free", "held", "unknown"]:
    """Whether a run holds the lock now; "unknown" if the file is there and cannot be asked (another user's)."""
    try:
        # Without O_NONBLOCK a pipe by that name would make every reader wait forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return "free"
    except OSError:
        return "unknown"
    try:
        return "free" if _try_flock(descriptor, fcntl.LOCK_SH) else "held"
    except OSError as error:
        return _probe_claims(path) if error.errno in NO_LOCKS else "unknown"
    finally:
        os.close(descriptor)


def how_to_free(path: Path) -> str:
    """What a user may do about a claim that nobody can look at from here, as the end of a next step; "" otherwise."""
    try:
        newest = newest_claim(path)
    except OSError:
        return ""
    if newest is None or newest.is_over or newest.host == host():
        return ""
    return f"; if it no longer runs on {newest.host or 'its machine'}: {shell_command('rm', newest.path)}"


def owner(path: Path) -> Identity | None:
    """The process that took the lock last, alive or not."""
    content = read_json(path)
    return identity_from(content) if content else None


def holders(path: Path) -> list[psutil.Process]:
    """This user's processes that hold the lock, this process left out: not those that only read or wait for the file.

    Only these may be ended as a run's own.
    """
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [process for process in others if _has_locked(process.pid, path)]


def holds(pid: int, path: Path) -> bool:
    """Whether process `pid` has the file `path` open: the proof that it belongs to the run of that folder."""
    return bool(_open_as(pid, path)) or _holds_by_name(pid, path)


def _open_as(pid: int, path: Path) -> list[str]:
    """The descriptors under which a process has a file open; [] without /proc, or if it is another user's."""
    found = []
    try:
        wanted = path.stat()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                opened = entry.stat()
            except OSError:
                continue
            if (opened.st_dev, opened.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(entry.name)
    except OSError:  # it has ended meanwhile
        return []
    return found


def _has_locked(pid: int, path: Path) -> bool:
    return any(_is_locked(pid, descriptor) for descriptor in _open_as(pid, path)) or _holds_by_name(pid, path)


def _is_locked(pid: int, descriptor: str) -> bool:
    """Whether an exclusive lock goes with this open file: a forked child shares its parent's."""
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any(line.startswith("lock:") and "WRITE" in line.split() for line in lines)


def _acquire_current(path: Path, deadline: float) -> FolderLock:
    """The lock on the file that has this name now: the one that was waited for may have been removed meanwhile."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            lock = FolderLock.acquire(path, left)
        except PermissionError:
            if not path.exists():  # the folder must not be written
                raise
            time.sleep(_ACQUIRE_PAUSE_SECONDS)  # another user's lock, who removes it in a moment
            continue
        if lock is not None and holds(os.getpid(), path):
            return lock
        if lock is not None:
            lock.release()
    raise OSError(errno.EBUSY, f"another process holds {path}")


def _holds_by_name(pid: int, path: Path) -> bool:
    """For systems without /proc: psutil asks the kernel in its own way."""
    if Path("/proc/self/fd").exists():
        return False
    try:
        return any(Path(opened.path) == path.resolve() for opened in psutil.Process(pid).open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def _probe_claims(path: Path) -> Literal["free", "held", "unknown"]:
    try:
        newest = newest_claim(path)
    except OSError:
        return "unknown"
    return "free" if newest is None or newest.is_over else "held"


def _try_take(path: Path, descriptor: int) -> FolderLock | None:
    """The lock, or a claim if there are no locks here; None if another process has it. Raises OSError."""
    try:
        return FolderLock(path, descriptor) if _try_flock(descriptor, fcntl.LOCK_EX) else None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    claimed = claim(path)
    return FolderLock(path, descriptor, claimed) if claimed else None


def _try_flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
