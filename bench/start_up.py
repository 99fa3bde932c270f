"""How long the commands that people type most take to answer: --help, status, and runs with 200 runs."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from places import environment
from report import Goal, build_report, judgement, save

# Seconds from start to exit, at most.
_GOALS = {"help": 0.25, "status": 0.4, "runs": 0.6}
_INTERPRETER = "python -c pass"
_RUNS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three calls each")
    options = parser.parse_args()
    rounds = 3 if options.quick else 15
    print("cli: seconds from start to exit")
    with tempfile.TemporaryDirectory() as folder:
        _finished_runs(Path(folder) / "output")
        one = str(Path(folder) / "output" / "run-000")
        calls = {_INTERPRETER: [sys.executable, "-c", "pass"]}
        calls |= {"help": _call("--help"), "status": _call("status", one), "runs": _call("runs")}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds + 1):
            for name, command in calls.items():  # alternating; the first round warms up
                times[name].append(_seconds(command, Path(folder)))
    for name, most in _GOALS.items():
        ours, bare = (_side(times[one][1:]) for one in (name, _INTERPRETER))
        report = build_report(
            f"cli-{name}",
            f"`movielora {calls[name][1]}` from start to exit",
            {"movielora": ours, _INTERPRETER: bare},
            (Goal("seconds", at_most=most),),
            {"seconds": ours["seconds"]},
            quick=options.quick,
            work={"runs": _RUNS} if name == "runs" else {},
        )
        print(f"  {name:8} {judgement(report)}; the interpreter alone {bare['seconds']:.3f} s")
        save(report)


def _side(seconds: list[float]) -> dict[str, Any]:
    return {"seconds": statistics.median(seconds), "all_seconds": seconds}


def _call(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("movielora")), *words]


def _seconds(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment())
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command[1:])} failed: {done.stderr[-500:]}")
    return seconds


def _finished_runs(output: Path) -> None:
    """Two hundred runs that ended, each with a history of metrics, as real sessions write them."""
    from movielora.runs.session import RunSession

    for number in range(_RUNS):
        session = RunSession.open(
            output / f"run-{number:03}",
            argv=["movielora", "train"],
            config={"metric_for_best_model": "auc", "model_name_or_path": "tiny"},
            config_yaml="metric_for_best_model: auc\n",
        )
        with session:
            session.training_started()
            for step in range(10, 210, 10):
                session.log_metrics({"loss": 1 / step, "step": step, "epoch": step / 200})
            session.log_metrics({"eval_auc": 0.7, "eval_loss": 0.4, "step": 200, "epoch": 1.0})
            session.training_ended()
            session.finish("finished", metrics={"eval_auc": 0.7})


if __name__ == "__main__":
    main()
