"""From a prepared dataset to the token ids of a first batch, every other prompt ready to be joined; whole process."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets_here import encode_plainly, first_prompts, record_count, tokenizer_folder, training_records
from harness import Benchmark, run_benchmark
from report import Goal


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    import numpy as np

    from movielora.examples.load import ExampleLoader
    from movielora.model.tokenizer import load_tokenizer
    from movielora.progress import SILENT
    from movielora.prompt.spec import PromptSpec
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.tokenize import tokenize_examples

    tokenizer = load_tokenizer(str(tokenizer_folder()))
    loader, path = ExampleLoader(), training_records(quick=options.quick)
    template = PromptTemplate(tokenizer, PromptSpec(titles=loader.dataset_titles(path)))
    tokens = tokenize_examples(loader.open(path), template, tokenizer, cutoff_len=4096, reporter=SILENT)
    first_prompts(tokens)
    seconds = time.perf_counter() - started
    ids, offsets = tokens.prompts(np.arange(len(tokens))) if options.check else (None, None)
    return {"seconds": seconds, "result": _digest(options, ids, offsets)}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    import numpy as np

    encoded = encode_plainly(training_records(quick=options.quick))
    with tempfile.TemporaryDirectory() as folder:
        ids = np.concatenate([np.asarray(one, dtype=np.uint32) for one in encoded])
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in encoded])]).astype(np.int64)
        np.save(Path(folder) / "ids.npy", ids)
        np.save(Path(folder) / "offsets.npy", offsets)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": _digest(options, ids, offsets)}


def _digest(options: argparse.Namespace, ids: Any, offsets: Any) -> dict[str, Any] | None:
    """Of every id of every example; outside the time."""
    if not options.check:
        return None
    digest = hashlib.sha256(ids.tobytes() + offsets.tobytes()).hexdigest()
    return {"examples": len(offsets) - 1, "tokens": len(ids), "sha256": digest}


def _same(ours: Any, peers: Any) -> None:
    assert ours == peers, f"token ids differ: {ours} and {peers}"


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="tokenize",
            question="prepared data to a first batch, cold, whole process, against apply_chat_template + batch call",
            sides={"movielora": _movielora, "transformers": _peer},
            same=_same,
            goals=(Goal("ratio", at_least=12),),
            clock="process",
            prepare=lambda options: training_records(quick=options.quick),
            facts=lambda options: {"records": record_count(training_records(quick=options.quick))},
        )
    )
