"""What a run has logged so far: from metrics.jsonl, or from the trainer state of a plain HF folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from movielora.storage import fields

# The newest rows of a very long run are enough for every reader; a row is about 200 bytes.
_READ_BYTES = 16 * 1024 * 1024

Row = dict[str, float]


@dataclass(frozen=True)
class RunHistory:
    """Rows by step: `steps` have a training loss, `evaluations` have `eval_…` figures. `lost_at`: a loss was NaN."""

    steps: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    lost_at: int | None = None

    @property
    def last_evaluation(self) -> Row:
        return self.evaluations[-1] if self.evaluations else {}


def read_metrics(path: Path) -> RunHistory:
    """The rows of metrics.jsonl; lines that are no JSON objects (a half-written last one) are skipped."""
    return _collect(_parse(line) for line in _last_lines(path))


def history_from_state(state: dict[str, Any]) -> RunHistory:
    """The rows of `log_history` in a trainer_state.json."""
    logged = state.get("log_history")
    return _collect(logged if isinstance(logged, list) else [])


def best_evaluation(history: RunHistory, metric: str) -> tuple[float, int] | None:
    """The best value of `metric` (such as `eval_f1`; a loss is best when low) and its step; the first of equals."""
    found = [(row[metric], int(row.get("step", 0))) for row in history.evaluations if metric in row]
    if not found:
        return None
    return min(found) if metric.endswith("loss") else max(found, key=lambda pair: (pair[0], -pair[1]))


def _collect(rows: Iterable[Any]) -> RunHistory:
    """Sort rows by kind. A row that goes back in steps was written after a resume: it replaces what it repeats."""
    steps: list[Row] = []
    evaluations: list[Row] = []
    lost_at: int | None = None
    for row in rows:
        if not isinstance(row, dict):
            continue
        figures = fields.figures(row)
        step = figures.get("step", 0.0)
        if any(name.startswith("eval_") for name in figures):
            _append(evaluations, figures, step)
        elif "loss" in row:
            lost_at = int(step) if "loss" not in figures else None
            _append(steps, figures, step)
    return RunHistory(steps, evaluations, lost_at)


def _append(rows: list[Row], row: Row, step: float) -> None:
    while rows and rows[-1].get("step", 0.0) >= step:
        rows.pop()
    rows.append(row)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _last_lines(path: Path) -> list[str]:
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _READ_BYTES))
            lines = file.read(_READ_BYTES).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > _READ_BYTES else lines
