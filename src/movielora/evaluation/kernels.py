"""A run's kernels in training against those it is scored with now: another sum, another last digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from movielora.model.base import Placement
from movielora.progress import Reporter
from movielora.runs import fields
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record


def warn_of_other_kernels(run: Path, placement: Placement, reporter: Reporter) -> None:
    """Say so where the run's record names other kernels; a bare adapter has no record, and nothing is said."""
    record = read_record(RunPaths(run))
    trained = fields.mapping(record.raw.get("placement")) if record else {}
    if not trained:
        return
    before, now = _words(trained), _words(placement.to_json())
    if before != now:
        reporter.warn(f"{run} was trained with {before} and is scored with {now}: scores may differ slightly")


def _words(placement: Mapping[str, Any]) -> str:
    attention = fields.text(placement.get("attention"), 40) or "the library's default"
    kernels = "Liger's kernels" if placement.get("liger") is True else "the model's own kernels"
    return f"{attention} attention and {kernels}"
