"""Warn if a run was trained with other kernels than it is scored with: sums differ in the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from movielora.model.base import Placement
from movielora.progress import Reporter
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.storage import fields


def recorded_placement(record: RunRecord | None) -> dict[str, Any]:
    """The placement that a run's last training recorded; empty if there is none, as for a bare adapter."""
    return dict(fields.mapping(record.raw.get("placement"))) if record else {}


def other_kernels(trained: Mapping[str, Any], placement: Placement) -> tuple[str, str] | None:
    """The recorded kernels and the present ones, in words; None if they are the same or unknown."""
    before, now = _words(trained), _words(placement.to_json())
    return (before, now) if trained and before != now else None


def warn_of_other_kernels(run: Path, placement: Placement, reporter: Reporter) -> None:
    """Warn if the run's record names other kernels than it is scored with."""
    if other := other_kernels(recorded_placement(read_record(RunPaths(run))), placement):
        before, now = other
        reporter.warn(f"{run} was trained with {before} and is scored with {now}: scores may differ slightly")


def _words(placement: Mapping[str, Any]) -> str:
    attention = fields.text(placement.get("attention"), 40) or "the library's default"
    kernels = "Liger's kernels" if placement.get("liger") is True else "the model's own kernels"
    return f"{attention} attention and {kernels}"
