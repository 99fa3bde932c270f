"""`movielora audit` of every training example, in tokens: the whole command, from start to exit."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from typing import Any

from datasets_here import dataset, encode_plainly, record_count, tokenizer_folder, training_records
from harness import Benchmark, run_benchmark
from places import CONFIG
from report import Goal


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    from movielora.cli import main

    folder = dataset()
    words = ["audit", "--json", "--config", str(CONFIG), "--split", "eval" if options.quick else "train"]
    words += ["--set", f"dataset_dir={folder.parent}", "--set", f"dataset={folder.name}_train"]
    words += ["--set", f"model_name_or_path={tokenizer_folder()}"]
    with contextlib.redirect_stdout(io.StringIO()) as page, contextlib.suppress(SystemExit):
        main(words)
    found = json.loads(page.getvalue())
    return {"seconds": found["seconds"], "result": {key: found[key] for key in ("samples", "min", "mean", "max")}}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    """The same lengths from the exported JSON, by the tokenizer's own calls."""
    encoded = encode_plainly(training_records(quick=options.quick))
    lengths = [len(ids) + 2 for ids in encoded]  # with the answer and the end of the turn
    found = {"samples": len(lengths), "min": min(lengths), "mean": sum(lengths) / len(lengths), "max": max(lengths)}
    return {"seconds": 0.0, "result": found}


def _same(ours: Any, peers: Any) -> None:
    assert ours == peers, f"lengths differ: {ours} and {peers}"


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="audit",
            question="`movielora audit` of all training examples in tokens, against the tokenizer's own calls",
            sides={"movielora": _movielora, "transformers": _peer},
            same=_same,
            goals=(Goal("seconds", at_most=3),),
            clock="process",
            prepare=lambda options: training_records(quick=options.quick),
            facts=lambda options: {"records": record_count(training_records(quick=options.quick))},
        )
    )
