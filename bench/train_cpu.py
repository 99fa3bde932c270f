"""Seconds of a training step on the CPU: Qwen3-0.6B's shape, batch 2, r = 16 on all linear layers."""

from __future__ import annotations

import argparse

from datasets_here import dataset, qwen_shape
from harness import skip
from report import Goal
from training_sides import Work, run_training


def _work(options: argparse.Namespace) -> Work:
    layers = options.layers or (1 if options.quick else 28)
    base = qwen_shape(layers)
    if base is None:
        skip("the shared folder with make_qwen3_shape.py is not here (set MOVIELORA_SHARED)")
    return Work(
        base=base,
        records=dataset() / "train.json",
        steps=1 if options.quick else 2 if options.check else 8,
        batch=2,
        accumulation=1,
        dtype=options.dtype or "bfloat16",
        # The two draw different masks; without dropout their losses can be held against each other.
        dropout=0.0 if options.check else 0.05,
        learning_rate=1.5e-4,
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, help="decoder layers (28 is Qwen3-0.6B; quick: 1)")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], help="of the base (bfloat16)")


if __name__ == "__main__":
    run_training(
        "train-cpu",
        "a training step of Qwen3-0.6B's shape against plain TRL with the same values",
        work=_work,
        tolerance=0.01,  # bf16 keeps 8 bits: losses of about 10 are known to a few hundredths
        goals=(Goal("ratio", at_least=2), Goal("memory_ratio", at_most=0.7)),
        options=_options,
        rounds=1,
    )
