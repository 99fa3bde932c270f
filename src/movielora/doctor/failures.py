"""Known failures, their causes and fixes: the table `failures.json`, searched for in a log or an import error."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from movielora.errors import DataError

# A log may be long and its lines longer: what is shown of a line.
_LINE_CHARACTERS = 400


@dataclass(frozen=True)
class Explanation:
    """One known failure in a text: the line that shows it (`number` from 1), why, and what to do."""

    subject: str
    name: str
    number: int
    line: str
    cause: str
    fix: str
    command: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@cache
def _failures() -> list[tuple[re.Pattern[str], dict[str, str]]]:
    text = resources.files("movielora.doctor").joinpath("failures.json").read_text("utf-8")
    return [(re.compile(row["pattern"]), row) for row in json.loads(text)["failures"]]


def read_log(path: Path) -> str:
    """The text of a log. Raises DataError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        text = f"the log {path} cannot be read: {error.strerror}"
        raise DataError(text, "paste it instead: movielora doctor --explain -") from None


def explain(text: str) -> list[Explanation]:
    """The known failures in a text, each once, at its first line. A line shows at most one: the first in the table."""
    found: dict[str, Explanation] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        row = next((row for pattern, row in _failures() if pattern.search(line)), None)
        if row and row["name"] not in found:
            shown = " ".join(line.split())[:_LINE_CHARACTERS]
            found[row["name"]] = Explanation(
                row["subject"], row["name"], number, shown, row["cause"], row["fix"], row["command"]
            )
    return list(found.values())
