"""The second start: from loaded libraries to token ids that are ready to train on."""

from __future__ import annotations

import argparse
import hashlib
import time
from typing import Any

from datasets_here import conversation, record_count, tokenizer_folder, training_records
from harness import Benchmark, run_benchmark
from places import WORK
from report import Goal

_CACHE = WORK / "warm"


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    import transformers

    from movielora.model.tokenizer import load_tokenizer
    from movielora.progress import SILENT
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.token_cache import tokenize_file

    _ = transformers.PreTrainedTokenizerFast  # imported, as it is for the peer
    started = time.perf_counter()
    tokenizer = load_tokenizer(str(tokenizer_folder()))
    examples = tokenize_file(
        training_records(quick=options.quick),
        PromptTemplate(tokenizer),
        tokenizer,
        cutoff_len=4096,
        cache_dir=_CACHE / "movielora",
        reporter=SILENT,
    )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": _digest(options, (examples.prompt(row) for row in range(len(examples))))}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    started = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder())
    folder = str(_CACHE / "datasets")
    rows = datasets.load_dataset(
        "json", data_files=str(training_records(quick=options.quick)), cache_dir=folder, split="train"
    )
    encoded = rows.map(_Encode(tokenizer), batched=True, remove_columns=rows.column_names)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": _digest(options, (row["input_ids"] for row in encoded))}


class _Encode:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: dict[str, list[str]]) -> dict[str, Any]:
        texts = []
        for system, instruction, text in zip(rows["system"], rows["instruction"], rows["input"], strict=True):
            messages = conversation(system, instruction, text)
            texts.append(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
                )
            )
        return {"input_ids": self.tokenizer(texts, add_special_tokens=False)["input_ids"]}


def _digest(options: argparse.Namespace, prompts: Any) -> str | None:
    """The round that is checked is also the one that fills both caches."""
    if not options.check:
        return None
    import numpy as np

    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(np.asarray(prompt, dtype=np.uint32).tobytes() + b"|")
    return digest.hexdigest()


def _same(ours: Any, peers: Any) -> None:
    assert ours == peers, "token ids differ"


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="tokenize-warm",
            question="the second start, beyond imports, against datasets' cache",
            sides={"movielora": _movielora, "datasets": _peer},
            same=_same,
            goals=(Goal("seconds", at_most=2),),
            quick_rounds=1,  # the first fills the caches
            prepare=lambda options: training_records(quick=options.quick),
            facts=lambda options: {"records": record_count(training_records(quick=options.quick))},
        )
    )
