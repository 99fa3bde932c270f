"""A run's log: writing it, and reading it as it grows, is truncated or is replaced."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

from movielora import __version__

# Enough for the last lines of any log without reading the whole of a long one.
_BLOCK_BYTES = 256 * 1024
_POLL_SECONDS = 0.2
# The first line of each attempt in a log, by which a log is known for one.
_HEADING = re.compile(rb"^movielora \S+, log of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", re.MULTILINE)


def log_heading() -> str:
    """`movielora 0.1.0, log of 2026-11-25 20:14:02`, with its newline."""
    return f"movielora {__version__}, log of {time.strftime('%Y-%m-%d %H:%M:%S')}\n"


def is_run_log(path: Path) -> bool:
    """Whether some attempt of movielora has begun a log here. Raises OSError."""
    with path.open("rb") as file:
        return any(_HEADING.match(line) for line in file)


class RunLog(io.TextIOBase):
    """What a run in a terminal prints, for its log: kept in memory until the run has its folder, then appended there.

    A log that cannot be written (a full disk) must not end hours of training: the rest of it is lost.
    """

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._file: io.TextIOWrapper | None = None
        self._wanted = True

    @property
    def begun(self) -> bool:
        return self._file is not None

    def begin(self, path: Path) -> None:
        """Append what was kept, and from now on everything, to the log at `path`. Raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", buffering=1)
        kept, self._kept = self._kept, []
        self.write(log_heading() + "".join(kept))

    def leave(self) -> None:
        """Keep nothing: the output of this process is the log already."""
        self._wanted, self._kept = False, []

    def write(self, text: str) -> int:
        if self._file is not None:
            with suppress(OSError):
                self._file.write(text)
                self._file.flush()
        elif self._wanted:
            self._kept.append(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        super().close()


def last_line(path: Path) -> str:
    """The last line that is not empty, without control characters; "" if there is none."""
    return next((line for line in reversed(last_lines(path, 20)) if line.strip()), "")


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines, a last one without its newline included."""
    with _Reader(path) as reader:
        return [*reader.last_lines(count), *reader.rest()][-count:] if count > 0 else []


def follow(path: Path, ended: Callable[[], bool], *, count: int = 100) -> Iterator[str]:
    """The last `count` lines, then each new one when it is complete, until `ended()` and everything has been read.

    Truncated: reading continues from the new start. Replaced (rotated): the rest of the old file, then the new one.
    """
    with _Reader(path) as reader:
        yield from reader.last_lines(count)
        while True:
            over = ended()  # asked before the last look, so that nothing written before the end is missed
            yield from reader.new_lines()
            if over:
                yield from reader.rest()
                return
            time.sleep(_POLL_SECONDS)


class _Reader:
    """An open log, the place reached in it, and the half line found there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._half = b""
        self._file = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def last_lines(self, count: int) -> list[str]:
        """The last `count` whole lines; afterwards the place is the end of the file."""
        if self._file is None:
            return []
        size = self._file.seek(0, os.SEEK_END)
        length = _BLOCK_BYTES
        while True:
            self._file.seek(max(0, size - length))
            *lines, self._half = self._file.read(size - self._file.tell()).split(b"\n")
            if length >= size or len(lines) > count:
                return [_decode(line) for line in lines[max(0, len(lines) - count) :]]
            length *= 4

    def new_lines(self) -> Iterator[str]:
        """What was added since, complete lines only."""
        yield from self._drain()
        if self._is_replaced():
            yield from self.rest()
            if self._file is not None:
                self._file.close()
            self._file = _open(self._path)
            yield from self._drain()

    def rest(self) -> Iterator[str]:
        """A last line without its newline."""
        if self._half:
            yield _decode(self._half)
            self._half = b""

    def _drain(self) -> Iterator[str]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # truncated
            self._file.seek(0)
            self._half = b""
        while block := self._file.read(_BLOCK_BYTES):
            *lines, self._half = (self._half + block).split(b"\n")
            yield from map(_decode, lines)

    def _is_replaced(self) -> bool:
        try:
            now = self._path.stat()
        except OSError:  # moved away, its successor not yet there
            return False
        if self._file is None:
            return True
        mine = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


def _open(path: Path) -> FileIO | None:
    try:
        return FileIO(path) if path.is_file() else None
    except OSError:
        return None


def _decode(line: bytes) -> str:
    return printable(line.decode("utf-8", errors="replace"))


def printable(line: str) -> str:
    """What a terminal would show of a line in the end: after its last carriage return, control characters dropped."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return "".join(letter if letter.isprintable() or letter == "\t" else "" for letter in shown)
