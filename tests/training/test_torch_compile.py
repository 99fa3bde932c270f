"""`torch_compile: true` changes no loss and no evaluation: training and scoring, the last layer's own form included."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

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
from movielora.runs.paths import RunPaths
from movielora.training.loop.arguments import training_arguments
from movielora.training.loop.trainer import AnswerTrainer

STEPS = 3

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="torch.compile needs a C++ compiler on a CPU"
)


def test_losses_and_evaluation_are_those_of_the_uncompiled_run(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    plain = _trained(tiny_config, tmp_path / "plain", torch_compile=False)
    try:
        compiled = _trained(tiny_config, tmp_path / "compiled", torch_compile=True)
    finally:
        torch.compiler.reset()
    assert len(plain) == STEPS + 1
    assert compiled == pytest.approx(plain, rel=1e-5)


def _trained(tiny_config: Callable[..., ResolvedConfig], output_dir: Path, torch_compile: bool) -> list[float]:
    """The loss of each step, and of the evaluation at the end, for which nothing is compiled."""
    resolved = tiny_config(
        output_dir=output_dir,
        max_steps=STEPS,
        torch_compile=torch_compile,
        lora_dropout=0.0,
        lora_target="qv",
        bf16=False,
    )
    config = resolved.values
    base = find_base("tiny", Path(config.preprocessing_cache_dir).parent, Path("tiny"))
    tokenizer = load_tokenizer(base)
    records = list(read_records(find_dataset(resolved).train))[:200]
    examples = tokenize_records(records, PromptTemplate(tokenizer), tokenizer, cutoff_len=1024, reporter=SILENT)
    placement = choose_placement(config)
    output_dir.mkdir()
    trainer = AnswerTrainer(
        model=load_base(base, placement),
        args=training_arguments(config, output_dir, placement, STEPS),
        train=examples,
        train_rows=np.arange(len(examples)),
        evaluation=examples,
        eval_rows=np.arange(32),
        peft_config=lora_config(config),
        tokenizer=tokenizer,
        paths=RunPaths(output_dir),
        keep_checkpoints=None,
        identity={},
        spec=PromptSpec(),
        steps_per_epoch=STEPS,
        compiled=config.torch_compile,
    )
    before = counters["stats"]["unique_graphs"]
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    graphs = counters["stats"]["unique_graphs"]
    assert (graphs > before) == torch_compile
    evaluated = trainer.evaluate()["eval_loss"]
    assert counters["stats"]["unique_graphs"] == graphs
    return [*losses, evaluated]
