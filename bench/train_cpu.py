"""Seconds of a training step on the CPU: Qwen3-0.6B's shape, batch 2, r = 16 on all linear layers."""

from __future__ import annotations

import argparse
from typing import Any

from datasets_here import dataset, qwen_shape
from harness import Benchmark, run_benchmark, skip
from training_sides import Work, movielora_side, peer_side


def _work(options: argparse.Namespace) -> Work:
    layers = options.layers or (2 if options.quick else 28)
    base = qwen_shape(layers)
    if base is None:
        skip("the shared folder with make_qwen3_shape.py is not here (set MOVIELORA_SHARED)")
    return Work(
        base=base,
        records=dataset() / "train.json",
        steps=2 if options.check or options.quick else 8,
        batch=2,
        accumulation=1,
        dtype=options.dtype,
        # The two draw different masks; without dropout their losses can be held against each other.
        dropout=0.0 if options.check else 0.05,
        learning_rate=1.5e-4,
    )


def _same(ours: Any, peers: Any) -> None:
    """bf16 keeps 8 bits: losses of about 10 are known to a few hundredths."""
    assert len(ours) == len(peers)
    for step, (one, other) in enumerate(zip(ours, peers, strict=True), 1):
        assert abs(one - other) <= 0.01 * max(1.0, abs(other)), f"step {step}: losses {one} and {other}"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, help="decoder layers (28 is Qwen3-0.6B; quick: 2)")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="train-cpu",
            question="seconds of a step, Qwen3-0.6B shape, against plain TRL with the same values",
            sides={
                "movielora": lambda options: movielora_side(_work(options)),
                "trl": lambda options: peer_side(_work(options)),
            },
            same=_same,
            goal="at least 2.0, memory at most 0.7",
            prepare=lambda options: (_work(options), None)[1],
            options=_options,
            rounds=1,
        )
    )
