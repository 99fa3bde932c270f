"""A file of a source with the name that errors call it by, and its text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from movielora.errors import DataError, what_helps


@dataclass(frozen=True)
class SourceFile:
    """`path` is where the bytes are; `shown` is the user's name for it, such as `ml-1m.zip: ratings.dat`."""

    path: Path
    shown: str

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            DataError: it cannot be read, or holds nothing.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.shown} cannot be read: {error.strerror}.", f"{what_helps(error).capitalize()}."
            ) from error
        if not content.strip():
            raise DataError(f"{self.shown} is empty.", "Fetch the data again.")
        return content

    def _unreadable(self, error: OSError) -> DataError:
        return DataError(f"{self.shown} cannot be read: {error.strerror}.", f"{what_helps(error).capitalize()}.")

    def first_line(self) -> str:
        """The first line, without its line break.

        Raises:
            DataError: the file cannot be read, begins with an empty line, or is not UTF-8.
        """
        try:
            with self.path.open("rb") as stream:
                first = stream.readline(1 << 16)
        except OSError as error:
            raise DataError(
                f"{self.shown} cannot be read: {error.strerror}.", f"{what_helps(error).capitalize()}."
            ) from error
        if not first.strip():
            raise DataError(f"{self.shown} is empty.", "Fetch the data again.")
        return decode_utf8(self, first).rstrip("\r\n")

    def mistake(self, line: int, problem: str, next_step: str = "") -> DataError:
        """The error for a mistake in line `line` (from 1)."""
        return DataError(
            f"{self.shown}, line {line}: {problem}", next_step or "Fix that line, or fetch the data again."
        )


def decode_utf8(file: SourceFile, content: bytes) -> str:
    """`content` as UTF-8 text, without a byte order mark.

    Raises:
        DataError: a byte is not UTF-8; names its line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise file.mistake(line, "the text is not UTF-8.") from error


def decode_old(content: bytes) -> str:
    """Text of the layouts before UTF-8: latin-1, but UTF-8 if it is valid (MovieLens 10M).

    A latin-1 file with an accent in it is practically never valid UTF-8, so the first try is safe.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
