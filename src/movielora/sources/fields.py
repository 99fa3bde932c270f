"""The fields of a table of ratings or films as text: names, a whole number, stars, unix seconds.

Mistakes name file, line and field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from movielora.sources.source_file import SourceFile

LOWEST_STARS, HIGHEST_STARS = 0.0, 5.0
# Far beyond any time; up to here a float64 holds every whole number.
LATEST_SECONDS = 2.0**53
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def refuse_repeated(file: SourceFile, header: Sequence[str]) -> None:
    """Raise DataError if a column is named twice: which of the two is meant cannot be known."""
    repeated = next((name for name in header if name and header.count(name) > 1), None)
    if repeated is not None:
        raise file.mistake(1, f"the header names the column {repeated[:40]!r} twice.", "Rename or remove one of them.")


def whole_number(file: SourceFile, line: int, field: str, text: str) -> int:
    """A whole number of at most 18 digits, which any 64-bit column holds. Raises DataError."""
    if re.fullmatch(r"[+-]?[0-9]{19,}", text.strip()):
        raise file.mistake(line, f"the {field} {text[:40]!r} has more than 18 digits.")
    if not _WHOLE_NUMBER.fullmatch(text.strip()):
        raise file.mistake(line, f"the {field} {text[:40]!r} is not a whole number.")
    return int(text)


def stars(file: SourceFile, line: int, text: str) -> float:
    """A rating, from 0 to 5 stars. Raises DataError."""
    rating = _number(file, line, "rating", text)
    if not LOWEST_STARS <= rating <= HIGHEST_STARS:
        raise file.mistake(line, f"the rating {text[:40]!r} is not between 0 and 5 stars.")
    return rating


def seconds(file: SourceFile, line: int, text: str) -> float:
    """A time that may have a fraction. Raises DataError."""
    time = _number(file, line, "timestamp", text)
    if abs(time) > LATEST_SECONDS:
        raise file.mistake(line, f"the timestamp {text[:40]!r} is out of range.")
    return time


def _number(file: SourceFile, line: int, field: str, text: str) -> float:
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise file.mistake(line, f"the {field} {text[:40]!r} is not a number.")
    return number
