"""One LoRA training, by movielora's trainer and by plain TRL: the same model, rows, order, seed and values."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from datasets_here import answer_trainer, completion_rows, layers_of, peer_lora, tokenized
from harness import Benchmark, run_benchmark
from report import Goal

# Left out of the median: first touches of memory, choices of kernels.
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Work:
    """`steps` are timed, after `WARM_UP_STEPS`. `dtype`: `bfloat16` or `float32`, of the base's weights."""

    base: Path
    records: Path
    steps: int
    batch: int
    accumulation: int
    dtype: str
    dropout: float
    learning_rate: float
    seed: int = 42

    @property
    def all_steps(self) -> int:
        return self.steps + WARM_UP_STEPS

    @property
    def rows(self) -> int:
        return self.all_steps * self.batch * self.accumulation

    @property
    def facts(self) -> dict[str, Any]:
        rows = self.batch * self.accumulation
        return {"layers": layers_of(self.base), "dtype": self.dtype, "rows a step": rows, "timed steps": self.steps}


def run_training(
    name: str,
    question: str,
    *,
    work: Callable[[argparse.Namespace], Work],
    tolerance: float,
    goals: tuple[Goal, ...],
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    rounds: int = 3,
) -> None:
    """Benchmark both sides of `work`. Losses may differ by `tolerance`: absolute below 1, relative above."""
    run_benchmark(
        Benchmark(
            name=name,
            question=question,
            sides={
                "movielora": lambda chosen: movielora_side(work(chosen)),
                "trl": lambda chosen: peer_side(work(chosen)),
            },
            same=partial(_same_steps, tolerance=tolerance),
            goals=goals,
            unit="s/step",
            prepare=lambda chosen: work(chosen),
            facts=lambda chosen: work(chosen).facts,
            options=options,
            rounds=rounds,
        )
    )


def _same_steps(ours: Any, peers: Any, *, tolerance: float) -> None:
    """Losses and gradient norms of every step; the norms, of many small numbers, within four times the tolerance."""
    for step, (one, other) in enumerate(zip(ours["losses"], peers["losses"], strict=True), 1):
        assert abs(one - other) <= tolerance * max(1.0, abs(other)), f"step {step}: losses {one} and {other}"
    for step, (one, other) in enumerate(zip(ours["norms"], peers["norms"], strict=True), 1):
        assert abs(one - other) <= 4 * tolerance * abs(other), f"step {step}: gradient norms {one} and {other}"


def movielora_side(work: Work) -> dict[str, Any]:
    from movielora.config import Config
    from movielora.model.base import Placement

    examples, _ = _examples(work)
    config = Config(
        per_device_train_batch_size=work.batch,
        gradient_accumulation_steps=work.accumulation,
        learning_rate=work.learning_rate,
        max_steps=work.all_steps,
        lr_scheduler_type="constant",
        warmup_ratio=0.0,
        lora_dropout=work.dropout,
        seed=work.seed,
        eval_strategy="no",
        early_stopping_patience=None,
        load_best_model_at_end=False,
        logging_steps=1,
        save_steps=work.all_steps + 1,
        report_to=["none"],
    )
    placement = Placement("cpu", work.dtype, False, "sdpa")
    with tempfile.TemporaryDirectory() as folder:
        trainer = answer_trainer(config, placement, work.base, examples, Path(folder), work.all_steps)
        found = _train(trainer, work)
    return found | _rates(trainer, work, found)


def peer_side(work: Work) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    examples, order = _examples(work)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=work.batch,
            gradient_accumulation_steps=work.accumulation,
            learning_rate=work.learning_rate,
            max_steps=work.all_steps,
            lr_scheduler_type="constant",
            seed=work.seed,
            bf16=work.dtype == "bfloat16",
            gradient_checkpointing=False,  # TRL's default would recompute: the peer is faster without
            train_sampling_strategy="sequential",
            completion_only_loss=True,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            max_length=None,
        )
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.base, dtype=getattr(torch, work.dtype)),
            args=arguments,
            train_dataset=Dataset.from_list(completion_rows(examples, order)),
            processing_class=AutoTokenizer.from_pretrained(work.base),
            peft_config=peer_lora(work.dropout),
        )
        trainer.remove_callback(PrinterCallback)
        return _train(trainer, work)


def _examples(work: Work) -> tuple[Any, list[int]]:
    """The first rows of the file that the training needs, and the order in which movielora's sampler takes them."""
    from movielora.training.loop.sampler import LengthGroupedSampler

    examples = tokenized(work.base, work.records, work.rows)
    order = LengthGroupedSampler(examples.lengths, work.batch, work.batch * work.accumulation, work.seed)
    return examples, list(order)


def _train(trainer: Any, work: Work) -> dict[str, Any]:
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.train()
    steps = [after - before for before, after in pairwise(ends)][WARM_UP_STEPS - 1 :]
    logged = [row for row in trainer.state.log_history if "loss" in row]
    result = {"losses": [row["loss"] for row in logged], "norms": [row["grad_norm"] for row in logged]}
    return {"seconds": statistics.median(steps), "step_seconds": steps, "result": result}


def _rates(trainer: Any, work: Work, found: dict[str, Any]) -> dict[str, Any]:
    tokens = trainer.tokens_seen / work.all_steps
    return {"tokens_a_step": tokens, "tokens_per_second": tokens / found["seconds"], "show": ["tokens_per_second"]}
