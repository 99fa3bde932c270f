"""Small files that every reader sees complete: written under another name, then renamed; read with a size limit."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A record holds a config and a history of attempts; anything larger was not written by movielora.
_RECORD_LIMIT_BYTES = 4 * 1024 * 1024


def write_json_atomically(
    path: Path, value: Mapping[str, Any], *, durable: bool = True, private: bool = True, indent: int | None = None
) -> None:
    """Replace `path` by `value` as JSON in one step: on one line, or indented for people to read.

    `durable` also survives a power cut (fsync of file and folder); without it a crash of the machine may leave the
    file empty, which `read_json` reads as absent. `private`: readable by this user only; else as the umask says. NaN
    and infinities become null. Raises OSError.
    """
    text = json.dumps(finite(value), ensure_ascii=False, default=str, indent=indent) + "\n"
    write_text_atomically(path, text, durable=durable, private=private)


def write_text_atomically(path: Path, text: str, *, durable: bool = True, private: bool = True) -> None:
    """Replace `path` by `text` (UTF-8) in one step; options as in `write_json_atomically`. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or the renames inside a folder, survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, limit_bytes: int = _RECORD_LIMIT_BYTES) -> dict[str, Any] | None:
    """The JSON object in `path`, or None if it is absent, unreadable, too large, broken or not an object.

    Data only: nothing in the file can run. The values are still only what the writer claims; read them with `fields`.
    """
    try:
        if not path.is_file():  # a pipe or device by that name would make the reader wait forever
            return None
        with path.open("rb") as file:
            raw = file.read(limit_bytes + 1)
        value = json.loads(raw) if len(raw) <= limit_bytes else None
    except (OSError, ValueError, RecursionError):  # ValueError: bad UTF-8, bad JSON, an integer of 5,000 digits
        return None
    return value if isinstance(value, dict) else None


def finite(value: Any) -> Any:
    """`value` with NaN and infinities, which JSON does not have, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
