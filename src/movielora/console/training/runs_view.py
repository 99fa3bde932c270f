"""The view of `movielora runs`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.text import Text

from movielora.console.output import plain_table, stdout
from movielora.console.reporting import format_duration
from movielora.console.training.status_view import STATE_STYLES, format_bytes
from movielora.runs.checkpoints import folder_size
from movielora.runs.status.status import RunStatus

# As many as a screen holds; `--all` shows the rest.
SHOWN = 20


def show_runs(runs: Sequence[RunStatus], *, left_out: int) -> None:
    console = stdout()
    if not runs:
        console.print("no runs under output/ yet; start one with: movielora train --config configs/tiny_cpu.yaml")
        return
    table = plain_table("run", "state", "step", "best", "age", "size")
    for run in runs:
        age = _age(run)
        table.add_row(
            escape(run.run),
            Text(run.state, style=STATE_STYLES.get(run.state, "")),
            _steps(run),
            _best(run),
            format_duration(age) if age is not None else "?",
            format_bytes(folder_size(Path(run.run_dir))),
        )
    console.print(table)
    if left_out > 0:
        console.print(f"and {left_out} older: movielora runs --all", style="dim")


def runs_json(runs: Sequence[RunStatus]) -> dict[str, Any]:
    """Return `{"runs": [...]}`, each with the keys of `_JSON_KEYS`, `age_seconds` (s) and `size_bytes` (bytes)."""
    return {
        "runs": [
            {key: value for key, value in run.to_json().items() if key in _JSON_KEYS}
            | {"age_seconds": _age(run), "size_bytes": folder_size(Path(run.run_dir))}
            for run in runs
        ]
    }


_JSON_KEYS = ("run", "run_dir", "state", "reason", "step", "max_steps", "best")


def _age(run: RunStatus) -> float | None:
    """Return the seconds since the run began, by the wall clock."""
    return max(0.0, time.time() - run.started) if run.started is not None else None


def _steps(run: RunStatus) -> str:
    if run.step is None:
        return "–"
    over = run.state == "finished"  # early, perhaps: nothing of it is missing
    return f"{run.step:,}/{run.max_steps:,}" if run.max_steps and not over else f"{run.step:,}"


def _best(run: RunStatus) -> str:
    if run.best is None or run.best.value is None:
        return "–"
    return f"{run.best.metric.removeprefix('eval_')} {run.best.value:.4f}".strip()
