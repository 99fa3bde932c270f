"""Values out of files that anybody may have written: taken when they are what they should be, else absent."""

from __future__ import annotations

import math
from typing import Any

# Above any step, byte count or time that means something, below what breaks a formatter or a system call.
_LARGEST = 2**53


def number(value: Any) -> float | None:
    """A finite number of sane size; None for booleans, text, NaN, infinities and giants."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -_LARGEST <= value <= _LARGEST:  # also false for NaN
        return None
    return float(value)


def count(value: Any) -> int | None:
    """A whole number from zero up."""
    figure = number(value)
    return int(figure) if figure is not None and figure >= 0 and math.floor(figure) == figure else None


def text(value: Any, limit: int = 400) -> str:
    """One printable line: control characters (terminal escapes, newlines) become spaces; "" if it is no text."""
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in value[:limit]).strip()


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def figures(row: dict[str, Any]) -> dict[str, float]:
    """The entries of `row` that are numbers, at most 200, their names made printable."""
    found = ((text(key, 100), number(value)) for key, value in list(row.items())[:200])
    return {key: value for key, value in found if value is not None}
