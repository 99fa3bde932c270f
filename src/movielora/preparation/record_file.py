"""A JSON or JSONL file of records, written piece by piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


class RecordFile:
    """A file of records, one a line, written piece by piece: a JSON array for `.json`, else JSONL.

    `size` and `sha256` are of the bytes written. Closing it makes the file durable.
    """

    def __init__(self, path: Path) -> None:
        self._is_array = path.suffix == ".json"
        self._hash = hashlib.sha256()
        self._file = path.open("wb")
        self.size = 0
        self._has_records = False

    def __enter__(self) -> RecordFile:
        if self._is_array:
            self._put(b"[")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._is_array:
                    self._put(b"\n]\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes written, in hexadecimal."""
        return self._hash.hexdigest()

    def add(self, lines: Sequence[str]) -> None:
        """Append records that are JSON texts without line breaks."""
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        if self._is_array:  # no record holds a line break, so each one here is the end of a record
            self._put((b",\n" if self._has_records else b"\n") + data[:-1].replace(b"\n", b",\n"))
        else:
            self._put(data)
        self._has_records = True

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)
