"""MovieLens-32M's size, without a cap a user: `audit` of every training example, and a training's first step.

    large_dataset.py --step audit    the lengths of all training examples, in tokens
    large_dataset.py --step start    from the start of `train` to its first step, loading the model not counted

Each is measured at 32 million synthetic ratings of 200,000 users and 87,000 films, and compared with itself at one
million. The ratings are prepared once and kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from datasets_here import large_dataset, tiny_base, tokenizer_folder
from harness import Benchmark, run_benchmark
from places import CONFIG, WORK
from report import Goal

_MILLION, _FULL, _QUICK = 1_000_000, 32_000_000, 100_000


def _ratings(options: argparse.Namespace, side: str) -> int:
    if options.quick:
        return _QUICK if side == "large" else _QUICK // 4
    return _FULL if side == "large" else _MILLION


def _audit(options: argparse.Namespace, side: str) -> dict[str, Any]:
    from movielora.cli import main

    words = [
        "audit",
        "--json",
        "--config",
        str(CONFIG),
        *_dataset(options, side),
        "--set",
        f"model_name_or_path={tokenizer_folder()}",
    ]
    with contextlib.redirect_stdout(io.StringIO()) as page, contextlib.suppress(SystemExit):
        main(words)
    found = json.loads(page.getvalue())
    return {
        "seconds": found["seconds"],
        "result": found["mean"],
        "examples": found["samples"],
        "seconds_a_million": 1e6 * found["seconds"] / found["samples"],
        "show": ["examples", "seconds_a_million"],
    }


def _start(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """Seconds to the end of the first step, without those of loading the model."""
    from movielora.config import resolve_config
    from movielora.training.train import TrainRequest, train_run

    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        words = [*_dataset(options, side)[1::2], f"model_name_or_path={tiny_base()}", f"output_dir={folder}/run"]
        words += ["max_steps=20", "use_qlora=false", "bf16=false", "report_to=none", "eval_strategy=no"]
        clock = _Clock()
        train_run(TrainRequest(resolve_config(None, words), argv=("movielora", "train")), clock)
        shutil.rmtree(f"{folder}/run")
    return {"seconds": clock.first_step - clock.loading, "result": 0.0, "phases": clock.phases, "show": ["phases"]}


def _dataset(options: argparse.Namespace, side: str) -> list[str]:
    folder = large_dataset(_ratings(options, side))
    return ["--set", f"dataset_dir={folder.parent}", "--set", f"dataset={folder.name}_train"]


class _Clock:
    """A reporter that measures phases: `first_step` from its making to the end of step 1, `loading` the model's."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.phases: dict[str, float] = {}
        self.first_step = 0.0

    @property
    def loading(self) -> float:
        return self.phases.get("Loading model", 0.0)

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[_Clock]:
        before, self._name = time.perf_counter(), name
        yield self
        kept = " ".join(word for word in name.split() if "/" not in word)  # a report names no folder
        self.phases[kept] = round(time.perf_counter() - before, 3)

    def advance(self, count: int = 1) -> None:
        self.update(count)

    def update(self, done: int, detail: str = "") -> None:
        if self._name == "Training" and done and not self.first_step:
            self.first_step = time.perf_counter() - self._started

    def note(self, text: str) -> None:
        return

    def warn(self, text: str) -> None:
        return


def _like(ours: Any, other: Any) -> None:
    assert abs(ours - other) <= 0.01 * abs(other), f"mean lengths differ: {ours} and {other}"


_STEPS = {
    "audit": (_audit, "audit of all training examples, in tokens", (Goal("seconds", at_most=120),)),
    "start": (_start, "from `train` to its first step, loading the model not counted", (Goal("seconds", at_most=60),)),
}


def _benchmark(step: str) -> Benchmark:
    run, question, goals = _STEPS[step]
    return Benchmark(
        name=f"large-{step}",
        question=f"{question}, at the size of MovieLens 32M",
        sides={
            "movielora": lambda options: run(options, "large"),
            "at 1 million": lambda options: run(options, "small"),
        },
        same=_like,
        goals=(*goals, Goal("peak_bytes", at_most=4e9)),
        prepare=lambda options: [large_dataset(_ratings(options, side)) for side in ("large", "small")],
        rounds=1,
        options=_add_step,
        facts=lambda options: {"data": "synthetic", "ratings": _ratings(options, "large")},
        own_names=("step",),
    )


def _add_step(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--step", choices=list(_STEPS), required=True, help="what to measure")


if __name__ == "__main__":
    first = argparse.ArgumentParser(add_help=False)
    _add_step(first)
    run_benchmark(_benchmark(first.parse_known_args()[0].step))
