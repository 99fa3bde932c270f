"""Who has a folder, on a file system without `flock` (Lustre mounted without it, some FUSE): claims instead of a lock.

Beside the lock file lie claims, `.lock.1`, `.lock.2` …, each written by the process that took the folder and naming
it: host, PID, start time, boot, PID namespace. The highest one counts. It is over when its process has given it back
or is certainly dead: on this host, and ended or of an earlier boot. The next process then creates the claim with the
next number; creating a file that must not exist is atomic on these file systems too, so that one process succeeds.

The highest claim is never deleted, and whoever has created one looks again whether it is the highest: a process that
was slow, and creates a number that others have passed, sees that it lost. A claim that stays empty is over too: its
process ended before it had written who it is, or is so slow that it will see the next number. Whoever passes one looks
once more whether it is still empty.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.storage import fields
from movielora.storage.atomic import finite, read_json
from movielora.storage.process import boot_id, host, identity_from, is_alive, this_process

# What `flock` answers where there is none: Lustre ENOSYS, NFS without its lock service ENOLCK, others ENOTSUP.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
# Between creating a claim and writing it lies a moment; on a slow network file system, seconds.
_EMPTY_SECONDS = 60.0


@dataclass(frozen=True)
class Claim:
    """The claim in `path`; a content that cannot be read is empty, and then nobody knows whose it is."""

    path: Path
    content: dict[str, Any]

    @property
    def host(self) -> str:
        return fields.text(self.content.get("host"), 100)

    @property
    def is_over(self) -> bool:
        """Whether its process has given it back, is certainly dead, or never wrote it. In doubt it holds."""
        if not self.content:
            return self._stayed_empty()
        if self.content.get("released") is True:
            return True
        owner = identity_from(self.content, accept_init=True)
        if owner is None or self.host != host():
            return False
        if owner.boot_id != boot_id():
            return True
        return self.content.get("pid_namespace") == _pid_namespace() and not is_alive(owner)

    def _stayed_empty(self) -> bool:
        try:
            found = self.path.stat()
        except FileNotFoundError:  # its process saw that it lost
            return True
        return found.st_size == 0 and time.time() - found.st_mtime > _EMPTY_SECONDS

    def release(self) -> None:
        """Give it back. Raises OSError."""
        # In one write over what is there, which needs no room: on a full disk a truncated claim would hold for ever.
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, json.dumps({"released": True}).encode().ljust(os.fstat(descriptor).st_size), 0)
        finally:
            os.close(descriptor)


def claim(lock: Path) -> Claim | None:
    """Claim what `lock` stands for, or None if another process has it. Raises OSError."""
    highest = newest_claim(lock)
    if highest is not None and not highest.is_over:
        return None
    number = _number(highest.path) + 1 if highest else 1
    path = lock.with_name(f"{lock.name}.{number}")
    content = finite({**this_process().to_json(), "host": host(), "pid_namespace": _pid_namespace()})
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(content))
    except BaseException:  # a full disk
        path.unlink()
        raise
    numbers = sorted(_claims(lock))
    if numbers[-1] != number or (highest is not None and not _read(lock, number - 1).is_over):
        path.unlink(missing_ok=True)
        return None
    for passed in (_read(lock, each) for each in numbers[:-1]):
        if passed.is_over:  # others' files and slow processes' own stay
            with suppress(OSError):
                passed.path.unlink()
    return Claim(path, content)


def newest_claim(lock: Path) -> Claim | None:
    """The claim that counts, over or not; None if there never was one. Raises OSError if the folder cannot be read."""
    numbers = _claims(lock)
    if not numbers:
        return None
    return _read(lock, max(numbers))


def _read(lock: Path, number: int) -> Claim:
    path = lock.with_name(f"{lock.name}.{number}")
    return Claim(path, read_json(path) or {})


def _claims(lock: Path) -> list[int]:
    pattern = re.compile(rf"{re.escape(lock.name)}\.([1-9]\d{{0,11}})")
    return [int(found[1]) for name in os.listdir(lock.parent) if (found := pattern.fullmatch(name))]  # noqa: PTH208


def _number(path: Path) -> int:
    return int(path.name.rpartition(".")[2])


def _pid_namespace() -> int | None:
    """Two containers may have one host name and the same PIDs; their namespaces differ. None without /proc."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - of the namespace, not of the link
    except OSError:
        return None
