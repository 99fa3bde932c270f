"""Seconds of a training step of the embedded model, where the work between the products counts."""

from __future__ import annotations

import argparse
from typing import Any

from datasets_here import dataset, tiny_base
from harness import Benchmark, run_benchmark
from training_sides import Work, movielora_side, peer_side


def _work(options: argparse.Namespace) -> Work:
    return Work(
        base=tiny_base(),
        records=dataset() / "train.json",
        steps=18 if options.check or options.quick else 198,
        batch=32,
        accumulation=1,
        dtype="float32",
        dropout=0.0 if options.check else 0.05,
        learning_rate=3e-3,
    )


def _same(ours: Any, peers: Any) -> None:
    assert len(ours) == len(peers)
    for step, (one, other) in enumerate(zip(ours, peers, strict=True), 1):
        assert abs(one - other) <= 1e-4 * max(1.0, abs(other)), f"step {step}: losses {one} and {other}"


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="train-tiny",
            question="seconds of a step of the embedded model, 200 steps, against plain TRL with the same values",
            sides={
                "movielora": lambda options: movielora_side(_work(options)),
                "trl": lambda options: peer_side(_work(options)),
            },
            same=_same,
            goal="at least 1.2",
            prepare=lambda options: (_work(options), None)[1],
        )
    )
