"""From a JSON file of training records to saved token ids, the whole process."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets_here import conversation, record_count, tokenizer_folder, training_records
from harness import Benchmark, run_benchmark
from report import Goal


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    from movielora.model.tokenizer import load_tokenizer
    from movielora.progress import SILENT
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.token_cache import tokenize_file

    tokenizer = load_tokenizer(str(tokenizer_folder()))
    with tempfile.TemporaryDirectory() as folder:
        examples = tokenize_file(
            training_records(quick=options.quick),
            PromptTemplate(tokenizer),
            tokenizer,
            cutoff_len=4096,
            cache_dir=Path(folder),
            reporter=SILENT,
        )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": _digest(options, examples.ids, examples.offsets)}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    import numpy as np
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder())
    texts = []
    for row in json.loads(training_records(quick=options.quick).read_text(encoding="utf-8")):
        messages = conversation(row["system"], row["instruction"], row["input"])
        texts.append(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        )
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
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
            question="JSON records to saved token ids, cold, whole process, against apply_chat_template + batch call",
            sides={"movielora": _movielora, "transformers": _peer},
            same=_same,
            goals=(Goal("ratio", at_least=8),),
            clock="process",
            prepare=lambda options: training_records(quick=options.quick),
            facts=lambda options: {"records": record_count(training_records(quick=options.quick))},
        )
    )
