"""An evaluation inside a training: movielora's scorer against TRL with compute_metrics."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets_here import answer_trainer, completion_rows, dataset, layers_of, peer_lora, tiny_base, tokenized
from harness import Benchmark, Sweep, run_benchmark
from report import Goal


def _count(options: argparse.Namespace) -> int:
    return options.rows or (64 if options.quick else 1000)


def _examples(options: argparse.Namespace) -> Any:
    examples = tokenized(tiny_base(), dataset() / "eval.json", _count(options))
    if len(examples) < _count(options):
        raise SystemExit(f"the dataset here has {len(examples)} evaluation rows: --rows {len(examples)}")
    return examples


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    from movielora.config import Config
    from movielora.model.base import Placement

    examples = _examples(options)
    config = Config(lora_dropout=0.0, report_to=["none"], metric_for_best_model="accuracy")
    placement = Placement("cpu", "float32", False, "sdpa")
    with tempfile.TemporaryDirectory() as folder:
        trainer = answer_trainer(config, placement, tiny_base(), examples, Path(folder), 1, evaluates=True)
        started = time.perf_counter()
        metrics = trainer.evaluate()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": [metrics["eval_accuracy"], metrics["eval_loss"]]}


def _peer(options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    examples = _examples(options)
    yes, no, _ = examples.answer_ids
    # Longest first, as movielora takes them, so that rows are padded as little.
    rows = completion_rows(examples, np.argsort(-examples.lengths, kind="stable"))

    def two_logits(logits: Any, labels: Any) -> Any:
        """Of Yes and No at every position: without this the loop keeps 5 MB of logits a row."""
        return logits[..., [yes, no]]

    def accuracy(prediction: Any) -> dict[str, float]:
        """At the position before the answer's first token, Yes or No."""
        logits, labels = prediction.predictions, prediction.label_ids
        first = (labels != -100).argmax(axis=1)
        at = logits[np.arange(len(labels)), first - 1]
        return {"accuracy": float(((at[:, 0] > at[:, 1]) == (labels[np.arange(len(labels)), first] == yes)).mean())}

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(tiny_base(), dtype=torch.float32),
            args=SFTConfig(
                output_dir=folder,
                per_device_eval_batch_size=16,
                bf16=False,
                use_cpu=True,
                report_to=[],
                disable_tqdm=True,
                completion_only_loss=True,
                max_length=None,
            ),
            train_dataset=Dataset.from_list(rows[:2]),
            eval_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(tiny_base()),
            peft_config=peer_lora(),
            compute_metrics=accuracy,
            preprocess_logits_for_metrics=two_logits,
        )
        started = time.perf_counter()
        metrics = trainer.evaluate()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "result": [metrics["eval_accuracy"], metrics["eval_loss"]]}


def _same(ours: Any, peers: Any) -> None:
    """The peer averages batch means; every row has two answer tokens, so only a short last batch weighs otherwise."""
    assert ours[0] == peers[0], f"accuracies {ours[0]} and {peers[0]}"
    assert abs(ours[1] - peers[1]) < 1e-3 * abs(peers[1]), f"losses {ours[1]} and {peers[1]}"


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            name="evaluate",
            question="one evaluation inside training, the embedded model, against TRL with compute_metrics",
            sides={"movielora": _movielora, "trl": _peer},
            same=_same,
            # A row leaves its text, its ids and two numbers, and among more rows the longest is longer: that is all.
            goals=(Goal("ratio", at_least=3), Goal("memory_growth", at_most=1.1)),
            prepare=lambda options: (dataset(), tiny_base()),
            facts=lambda options: {"layers": layers_of(tiny_base()), "rows": _count(options)},
            sweep=Sweep(
                "rows",
                {"movielora": (250, 1000, 4000), "trl": (250, 1000)},
                quick_values={"movielora": (8, 256), "trl": (8,)},
            ),
            options=lambda parser: parser.add_argument("--rows", type=int, help="rows (1,000; quick: 64)"),
        )
    )
