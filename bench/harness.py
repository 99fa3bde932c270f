"""What every benchmark needs: two sides in child processes, alternating, checked equal before they are timed.

A benchmark program calls `run_benchmark` with its sides. The parent starts the same program again for every
measurement (`--side NAME`), so each has its own memory and imports. The first round is the warm-up: its results are
compared, and a difference ends the program before anything is timed. Ratios count; a time of one machine does not.
With --quick that first round is all there is. Every report has the same form, from which `table.py` makes its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from places import PROJECT, WORK, data_name, environment
from report import Goal, build_report, judgement, save

Side = Callable[[argparse.Namespace], dict[str, Any]]


@dataclass(frozen=True)
class Sweep:
    """Peak memory at rising values of one numeric option (`rows` is --rows), by side; two values at least for ours."""

    option: str
    values: dict[str, tuple[int, ...]]
    quick_values: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Benchmark:
    """`sides` maps a name to what a child runs: it returns `seconds` and `result`, which `same` compares.

    `same` raises AssertionError where the first side's result is not the second's, and may return facts about how
    they differ. The measures that `goals` are about: `ratio` (second / first, in seconds), `memory_ratio` (first /
    second), the first side's `seconds` and `peak_bytes`, and with a sweep `memory_growth`, its peak at the last value
    over that at the first. Where `rounds` is 0 the compared round counts, for a peer that takes minutes. `clock` is
    `inside` (the child's own `seconds`) or `process` (from start to exit); `facts` names what the work was (`layers`,
    `rows`). Options beside `own_names`, which give a benchmark another name, must default to None: with one of them
    given, the report is no standard one and goes beside the work.
    """

    name: str
    question: str
    sides: dict[str, Side]
    same: Callable[[Any, Any], dict[str, Any] | None]
    goals: tuple[Goal, ...]
    unit: str = "s"
    clock: str = "inside"
    prepare: Callable[[argparse.Namespace], object] = lambda options: None
    rounds: int = 3
    quick_rounds: int = 0
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    facts: Callable[[argparse.Namespace], dict[str, Any]] = lambda options: {}
    sweep: Sweep | None = None
    own_names: tuple[str, ...] = ()


def run_benchmark(benchmark: Benchmark) -> None:
    parser = argparse.ArgumentParser(description=benchmark.question)
    parser.add_argument("--quick", action="store_true", help="less work, judging no times")
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
    found["peak_bytes"] = _peak_bytes()
    found["cpu_seconds"] = usage.ru_utime + usage.ru_stime
    options.answer.write_text(json.dumps(found), encoding="utf-8")


def _peak_bytes() -> int:
    """The largest resident set of this process. `ru_maxrss` would begin with that of the parent, which exec keeps."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _compare(benchmark: Benchmark, options: argparse.Namespace) -> None:
    print(f"{benchmark.name}: {benchmark.question}")
    WORK.mkdir(parents=True, exist_ok=True)
    load_before = os.getloadavg()[0]
    benchmark.prepare(options)
    checked = {name: [_child(name, "--check")] for name in benchmark.sides}
    ours, *others = (runs[0]["result"] for runs in checked.values())
    compared: dict[str, Any] = {}
    for other in others:
        compared |= benchmark.same(ours, other) or {}
    print("  results are equal" + "".join(f", {key} {value:g}" for key, value in compared.items()))
    rounds = options.rounds or (benchmark.quick_rounds if options.quick else benchmark.rounds)
    measured = _rounds(benchmark, rounds) if rounds else checked
    key = "process_seconds" if benchmark.clock == "process" else "seconds"
    sides = {name: _summary(runs, key) for name, runs in measured.items()}
    _print_sides(sides, benchmark.unit)
    peaks = _peaks(benchmark.sweep, quick=options.quick)
    report = build_report(
        benchmark.name,
        benchmark.question,
        sides,
        benchmark.goals,
        _measures(sides, peaks),
        quick=options.quick,
        unit=benchmark.unit,
        work={"data": data_name(), **benchmark.facts(options)},
        options={key: value for key, value in vars(options).items() if key not in ("side", "answer", "check")},
        compared=compared,
        **({f"peak_bytes_by_{benchmark.sweep.option}": peaks} if benchmark.sweep else {}),
    )
    report["machine"]["load_before"] = load_before
    print(f"  {judgement(report)}")
    save(report, standard=_is_standard(benchmark, options))


def _is_standard(benchmark: Benchmark, options: argparse.Namespace) -> bool:
    """Whether the work is the one that the goals are about: options that change it have their defaults."""
    free = {"quick", "rounds", "side", "answer", "check", *benchmark.own_names}
    return all(value is None for key, value in vars(options).items() if key not in free)


def _rounds(benchmark: Benchmark, rounds: int) -> dict[str, list[dict[str, Any]]]:
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in benchmark.sides}
    for _ in range(rounds):
        for name in benchmark.sides:
            measured[name].append(_child(name))
    return measured


def _child(side: str, *words: str) -> dict[str, Any]:
    """One side in a process of its own, with this program's arguments and `words`, of which the last counts."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        program = [sys.executable, str(Path(sys.argv[0]).resolve()), *sys.argv[1:]]
        command = [*program, *words, "--side", side, "--answer", str(answer)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment(), check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
        return {**json.loads(answer.read_text(encoding="utf-8")), "process_seconds": seconds}


def _summary(runs: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {
        "seconds": statistics.median(run[key] for run in runs),
        "all_seconds": [run[key] for run in runs],
        "peak_bytes": max(run["peak_bytes"] for run in runs),
        "process_cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        **{name: runs[-1][name] for name in runs[-1].get("show", ())},
    }


def _print_sides(sides: dict[str, Any], unit: str) -> None:
    for name, side in sides.items():
        print(
            f"  {name:12} {side['seconds']:10.3f} {unit}   peak {side['peak_bytes'] / 1e9:6.2f} GB   "
            f"whole process {side['process_cpu_seconds']:.1f} CPU s"
        )


def _peaks(sweep: Sweep | None, *, quick: bool) -> dict[str, dict[str, int]]:
    """Peak bytes of every side, by the option's value; JSON's keys are strings."""
    if sweep is None:
        return {}
    peaks: dict[str, dict[str, int]] = {}
    for name, values in (sweep.quick_values if quick else sweep.values).items():
        found = {str(value): _child(name, f"--{sweep.option}", str(value))["peak_bytes"] for value in values}
        said = ", ".join(f"{peak / 1e9:.2f} GB at {int(value):,}" for value, peak in found.items())
        print(f"  {name:12} peak by {sweep.option}: {said}")
        peaks[name] = found
    return peaks


def _measures(sides: dict[str, Any], peaks: dict[str, dict[str, int]]) -> dict[str, float]:
    ours, *peers = sides.values()
    measures = {"seconds": ours["seconds"], "peak_bytes": ours["peak_bytes"]}
    for peer in peers[:1]:
        measures["ratio"] = peer["seconds"] / ours["seconds"]
        measures["memory_ratio"] = ours["peak_bytes"] / peer["peak_bytes"]
    for by_value in list(peaks.values())[:1]:
        (fewest, first), *_, (most, last) = by_value.items()
        measures["memory_growth"] = last / first
        measures["bytes_a_row"] = (last - first) / (int(most) - int(fewest))
    return measures
