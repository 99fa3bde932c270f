"""Seconds of a training step of the embedded model, where the work between the products counts."""

from __future__ import annotations

import argparse

from datasets_here import dataset, tiny_base
from report import Goal
from training_sides import Work, run_training


def _work(options: argparse.Namespace) -> Work:
    return Work(
        base=tiny_base(),
        records=dataset() / "train.json",
        steps=2 if options.quick else 18 if options.check else 198,
        batch=32,
        accumulation=1,
        dtype="float32",
        dropout=0.0 if options.check else 0.05,
        learning_rate=3e-3,
    )


if __name__ == "__main__":
    run_training(
        "train-tiny",
        "a training step of the embedded model against plain TRL with the same values",
        work=_work,
        tolerance=1e-4,
        goals=(Goal("ratio", at_least=1.2),),
    )
