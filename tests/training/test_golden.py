"""The trainer's losses and weights against a plain reference: full logits, labels of −100, one loop, no tricks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup, set_seed

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_dataset
from movielora.examples.importers.records import read_records
from movielora.model.base import choose_placement, find_base, load_base
from movielora.model.lora import lora_config
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import SILENT
from movielora.prompt.spec import PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import TokenizedExamples
from movielora.runs.paths import RunPaths
from movielora.training.loop.arguments import training_arguments
from movielora.training.loop.sampler import LengthGroupedSampler
from movielora.training.loop.trainer import AnswerTrainer

STEPS, MICRO_BATCH, ACCUMULATION = 6, 3, 2


def _examples(resolved: ResolvedConfig, base: str) -> TokenizedExamples:
    tokenizer = load_tokenizer(base)
    records = list(read_records(find_dataset(resolved).train))[:200]
    return tokenize_records(records, PromptTemplate(tokenizer), tokenizer, cutoff_len=1024, reporter=SILENT)


def _reference(
    resolved: ResolvedConfig, base: str, examples: TokenizedExamples, stored: torch.dtype = torch.float32
) -> tuple[list[float], dict[str, Any]]:
    """Mean loss of each optimiser step, and the adapter weights at the end, computed in fp32 on `stored` weights."""
    config = resolved.values
    set_seed(config.seed)
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=stored).float()
    model = get_peft_model(loaded, lora_config(config))
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimiser, round(config.warmup_ratio * STEPS), STEPS)
    order = list(LengthGroupedSampler(examples.lengths, MICRO_BATCH, MICRO_BATCH * ACCUMULATION, config.seed))
    yes, no, end = examples.answer_ids
    losses: list[float] = []
    for step in range(STEPS):
        rows = order[step * MICRO_BATCH * ACCUMULATION : (step + 1) * MICRO_BATCH * ACCUMULATION]
        whole = torch.zeros(())
        for row in rows:  # one row at a time: no padding at all
            answer = [yes if examples.labels[row] else no, end]
            ids = torch.tensor([*examples.prompt(row).tolist(), *answer])
            labels = ids.clone()
            labels[: -len(answer)] = -100
            logits = model(input_ids=ids.unsqueeze(0)).logits[0]  # every position, the whole vocabulary
            whole = whole + functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
        loss = whole / (2 * len(rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses, {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def _resolved(tiny_config: Callable[..., ResolvedConfig], output_dir: Path, **more: Any) -> ResolvedConfig:
    return tiny_config(
        output_dir=output_dir,
        per_device_train_batch_size=MICRO_BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        max_steps=STEPS,
        eval_strategy="no",
        early_stopping_patience="null",
        logging_steps=1,
        learning_rate=1e-3,
        **more,
    )


def _trained(resolved: ResolvedConfig, base: str, examples: TokenizedExamples) -> tuple[list[float], AnswerTrainer]:
    """Logged losses of movielora's own training, and its trainer."""
    config = resolved.values
    placement = choose_placement(config)
    paths = RunPaths(Path(config.output_dir))
    paths.root.mkdir()
    trainer = AnswerTrainer(
        model=load_base(base, placement),
        args=training_arguments(config, paths.root, placement, STEPS),
        train=examples,
        train_rows=np.arange(len(examples)),
        evaluation=None,
        eval_rows=np.empty(0, np.int64),
        peft_config=lora_config(config),
        tokenizer=load_tokenizer(base),
        paths=paths,
        keep_checkpoints=None,
        identity={},
        spec=PromptSpec(),
        steps_per_epoch=STEPS,
    )
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row], trainer


def _adapter(trainer: AnswerTrainer) -> dict[str, torch.Tensor]:
    return {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}


def test_losses_and_weights_equal_the_plain_reference(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    resolved = _resolved(tiny_config, tmp_path / "run")
    base = find_base("tiny", Path(resolved.values.preprocessing_cache_dir).parent, Path("tiny"))
    examples = _examples(resolved, base)
    assert len(np.unique(examples.lengths)) > 5  # rows of unlike length, or padding would not be tried

    expected_losses, expected = _reference(resolved, base, examples)
    losses, trainer = _trained(resolved, base, examples)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    weights = _adapter(trainer)
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=2e-5, msg=name)


def test_bf16_training_follows_the_fp32_reference(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    """bf16 base and adapters, fp32 masters, gradients of two micro-batches summed in fp32.

    The reference computes in fp32 on the same bf16 base. AdamW's first steps follow the signs of the gradients, so
    single weights whose gradient is near zero may part; the movement as a whole must not.
    """
    resolved = _resolved(tiny_config, tmp_path / "run", bf16=True)
    base = find_base("tiny", Path(resolved.values.preprocessing_cache_dir).parent, Path("tiny"))
    examples = _examples(resolved, base)
    start = _reference_start(resolved, base)
    expected_losses, expected = _reference(resolved, base, examples, stored=torch.bfloat16)
    losses, trainer = _trained(resolved, base, examples)

    assert losses == pytest.approx(expected_losses, rel=0.01)
    weights = _adapter(trainer)
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    masters = trainer.optimizer.state_dict()["masters"]
    assert {value.dtype for value in masters} == {torch.float32}
    assert sorted(value.numel() for value in masters) == sorted(value.numel() for value in weights.values())
    moved = torch.cat([(weights[name].float() - start[name]).flatten() for name in expected])
    wanted = torch.cat([(expected[name] - start[name]).flatten() for name in expected])
    assert torch.nn.functional.cosine_similarity(moved, wanted, dim=0) > 0.97
    assert moved.norm().item() == pytest.approx(wanted.norm().item(), rel=0.05)


def _reference_start(resolved: ResolvedConfig, base: str) -> dict[str, torch.Tensor]:
    set_seed(resolved.values.seed)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora_config(resolved.values))
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def test_every_row_comes_once_an_epoch_and_epochs_differ() -> None:
    lengths = np.random.default_rng(0).integers(50, 200, size=1003)
    sampler = LengthGroupedSampler(lengths, micro_batch=4, effective_batch=16, seed=7)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(1003))
    assert first != second
    assert list(LengthGroupedSampler(lengths, 4, 16, 7)) == first


def test_like_lengths_share_a_micro_batch() -> None:
    lengths = np.random.default_rng(0).integers(50, 200, size=2000)
    order = list(LengthGroupedSampler(lengths, micro_batch=8, effective_batch=8, seed=7))
    padded = sum(8 * lengths[order[at : at + 8]].max() for at in range(0, 2000, 8))
    assert padded < 1.05 * lengths.sum()  # a random order pads by about half
    assert math.isclose(len(order), 2000)
