"""What every form of foreign record offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from movielora.examples.example import Example


@dataclass(frozen=True)
class Form:
    """`in_words` says what a record of the form has, for people whose record is of none; `matches` says whether a JSON
    object is of the form, and `read` makes its Example (raises DataError naming the place and the field)."""

    in_words: str
    matches: Callable[[dict[str, Any]], bool]
    read: Callable[[dict[str, Any], str], Example]
