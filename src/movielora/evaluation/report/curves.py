"""Read the curves of the training that made the adapter, if its run folder still exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movielora.errors import DataError
from movielora.runs.paths import RunPaths
from movielora.scoring.predictions import read_objects

_MOST_POINTS = 400
_DRAWN = {
    "loss": "Training loss",
    "eval_loss": "Evaluation loss",
    "eval_auc": "Evaluation AUC",
    "eval_uauc": "Evaluation uAUC",
}


def training_curves(provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """`[{"name", "points": [[step, value], …]}]`, empty if there is no run or it logged nothing readable."""
    run = provenance.get("run_dir")
    if not run:
        return []
    try:
        lines = [line for _, line in read_objects(RunPaths(Path(run)).metrics, "")]
    except DataError:
        return []  # the page is about the comparison, and complete without the run
    found = []
    for key, name in _DRAWN.items():
        points = [
            [line["step"], line[key]] for line in lines if _is_number(line.get(key)) and _is_number(line.get("step"))
        ]
        if len(points) > 1:
            found.append({"key": key, "name": name, "points": points[:: max(1, len(points) // _MOST_POINTS)]})
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
