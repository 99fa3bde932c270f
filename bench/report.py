"""The one form of every benchmark's report, its goals, and the words for both."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from places import OTHER_RESULTS, RESULTS

_LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "datasets", "polars", "pandas")


# How a measure is written: what stands before the number, what it is divided by, what stands behind it.
_FORMS = {
    "ratio": ("", 1, "×"),
    "memory_ratio": ("memory ", 1, "×"),
    "memory_growth": ("memory growth ", 1, "×"),
    "seconds": ("", 1, " s"),
    "peak_bytes": ("peak ", 1e9, " GB"),
}


@dataclass(frozen=True)
class Goal:
    """What one of a report's `measures` should reach: a least or a greatest value."""

    measure: str
    at_least: float | None = None
    at_most: float | None = None

    def is_reached(self, measures: dict[str, float]) -> bool:
        value = measures[self.measure]
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def words(self) -> str:
        before, divisor, behind = _FORMS[self.measure]
        bounds = (("≥", self.at_least), ("≤", self.at_most))
        return before + " ".join(f"{sign} {bound / divisor:g}{behind}" for sign, bound in bounds if bound is not None)


def measure_words(measure: str, value: float) -> str:
    before, divisor, behind = _FORMS[measure]
    return f"{before}{value / divisor:.2f}{behind}"


def build_report(
    name: str,
    question: str,
    sides: dict[str, Any],
    goals: tuple[Goal, ...],
    measures: dict[str, float],
    *,
    quick: bool,
    unit: str = "s",
    **more: Any,
) -> dict[str, Any]:
    """The form of every report. The first side is movielora's; `unit` is that of each side's `seconds`."""
    stated = [{key: value for key, value in asdict(goal).items() if value is not None} for goal in goals]
    return {
        "name": name,
        "question": question,
        "quick": quick,
        "unit": unit,
        "goals": stated,
        "measures": measures,
        "sides": sides,
        **more,
        "machine": describe_machine(),
    }


def goals_of(report: dict[str, Any]) -> list[Goal]:
    return [Goal(**stated) for stated in report["goals"]]


def judgement(report: dict[str, Any]) -> str:
    """The measures that goals are about, in words, each with its goal; a quick run's are not judged."""
    said = []
    for goal in goals_of(report):
        reached = "" if report["quick"] else ", reached" if goal.is_reached(report["measures"]) else ", missed"
        said.append(f"{measure_words(goal.measure, report['measures'][goal.measure])} (goal {goal.words()}{reached})")
    return "; ".join(said)


def save(report: dict[str, Any], *, standard: bool = True) -> None:
    """Write `bench/results/NAME.json`; a quick run, or one that is not of the standard work, goes beside the work."""
    folder = RESULTS if standard and not report["quick"] else OTHER_RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{report['name']}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def describe_machine() -> dict[str, Any]:
    """Processor, memory and libraries; no name of host, user or folder."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "matrix_flags": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
        "omp_threads": os.environ.get("OMP_NUM_THREADS"),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES if _installed(name)},
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
