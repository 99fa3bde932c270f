"""What every benchmark needs: two sides in child processes, alternating, checked equal before they are timed.

A benchmark program calls `run_benchmark` with its sides. The parent starts the same program again for every
measurement (`--side NAME`), so each has its own memory and imports. The first round is the warm-up: its results are
compared, and a difference ends the program before anything is timed. Ratios count; a time of one machine does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MOVIELORA_SHARED") or PROJECT.parent / "shared")
WORK = PROJECT / ".cache" / "bench"
RESULTS = PROJECT / "bench" / "results"
_LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "datasets", "polars", "pandas")

Side = Callable[[argparse.Namespace], dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """`sides` maps a name to what a child runs: it returns `seconds` and `result`, which `same` compares.

    `same` raises AssertionError where the first side's result is not the second's. `goal` is what the ratio
    (second / first, in seconds) should reach; `clock` is `inside` (the child's own `seconds`) or `process` (from
    start to exit).
    """

    name: str
    question: str
    sides: dict[str, Side]
    same: Callable[[Any, Any], None]
    goal: str
    clock: str = "inside"
    prepare: Callable[[argparse.Namespace], None] = lambda options: None
    rounds: int = 3
    quick_rounds: int = 1
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    extra: dict[str, Any] = field(default_factory=dict)


def run_benchmark(benchmark: Benchmark) -> None:
    parser = argparse.ArgumentParser(description=benchmark.question)
    parser.add_argument("--quick", action="store_true", help="less work, one timed round")
    parser.add_argument("--rounds", type=int, help="timed rounds")
    parser.add_argument("--side", choices=list(benchmark.sides), help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    benchmark.options(parser)
    options = parser.parse_args()
    if options.side:
        _answer(benchmark, options)
    else:
        _compare(benchmark, options)


def skip(reason: str) -> None:
    """End the program well: what it needs is not here."""
    print(f"skipped: {reason}")
    sys.exit(0)


def _answer(benchmark: Benchmark, options: argparse.Namespace) -> None:
    """In the child: do one side's work and write what it found."""
    found = benchmark.sides[options.side](options)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["peak_bytes"] = usage.ru_maxrss * 1024
    found["cpu_seconds"] = usage.ru_utime + usage.ru_stime
    options.answer.write_text(json.dumps(found), encoding="utf-8")


def _compare(benchmark: Benchmark, options: argparse.Namespace) -> None:
    print(f"{benchmark.name}: {benchmark.question}")
    WORK.mkdir(parents=True, exist_ok=True)
    benchmark.prepare(options)
    load_before = os.getloadavg()[0]
    checked = [_child(name, check=True)["result"] for name in benchmark.sides]
    for other in checked[1:]:
        benchmark.same(checked[0], other)
    print("  results are equal")
    rounds = options.rounds or (benchmark.quick_rounds if options.quick else benchmark.rounds)
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in benchmark.sides}
    for _ in range(rounds):
        for name in benchmark.sides:
            measured[name].append(_child(name, check=False))
    _report(benchmark, options, measured, load_before)


def _child(side: str, *, check: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, *sys.argv, "--side", side, "--answer", str(answer), *(["--check"] if check else [])]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
        return {**json.loads(answer.read_text(encoding="utf-8")), "process_seconds": seconds}


def _report(benchmark: Benchmark, options: argparse.Namespace, measured: dict[str, Any], load_before: float) -> None:
    key = "process_seconds" if benchmark.clock == "process" else "seconds"
    sides = {
        name: {
            "seconds": statistics.median(run[key] for run in runs),
            "all_seconds": [run[key] for run in runs],
            "peak_bytes": max(run["peak_bytes"] for run in runs),
            "process_cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
            **{name: runs[-1][name] for name in runs[-1].get("show", ())},
        }
        for name, runs in measured.items()
    }
    ours, *peers = sides.values()
    for name, side in sides.items():
        print(
            f"  {name:12} {side['seconds']:10.3f} s   peak {side['peak_bytes'] / 1e9:6.2f} GB   "
            f"whole process {side['process_cpu_seconds']:.1f} CPU s"
        )
    report = {
        "name": benchmark.name,
        "question": benchmark.question,
        "goal": benchmark.goal,
        "options": {key: value for key, value in vars(options).items() if key not in ("side", "answer", "check")},
        "sides": sides,
        "machine": {**describe_machine(), "load_before": load_before},
        **benchmark.extra,
    }
    if peers:
        report["ratio"] = peers[0]["seconds"] / ours["seconds"]
        report["memory_ratio"] = ours["peak_bytes"] / peers[0]["peak_bytes"]
        print(f"  ratio {report['ratio']:.2f}× (goal {benchmark.goal}), memory {report['memory_ratio']:.2f}×")
    save(benchmark.name, report, quick=options.quick)


def save(name: str, report: dict[str, Any], *, quick: bool) -> None:
    """Write `bench/results/NAME.json`; a quick run goes beside the work, for it judges nothing."""
    folder = WORK / "quick" if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


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
