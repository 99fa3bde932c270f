"""Hashes of files and texts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from movielora.errors import DataError


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes. Raises DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "movielora prepare --help shows how to make a dataset") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def text_sha256(text: str) -> str:
    """Hex digest of a text as UTF-8: that of the file it is written into."""
    return hashlib.sha256(text.encode()).hexdigest()
