"""The end of a training: the best adapter into the run folder, and its score from the saved files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.config import Config
from movielora.model.lora import load_adapter
from movielora.progress import Reporter
from movielora.runs.checkpoints import inspect
from movielora.runs.paths import ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME, RunPaths
from movielora.runs.session import RunSession
from movielora.training.examples import TrainingExamples
from movielora.training.loop.evaluation import evaluation_metrics

# What a user of plain PEFT and transformers needs, out of a checkpoint.
_ADAPTER_FILES = (ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME)
# PEFT's generated one, which says nothing that run.json does not.
_MODEL_CARD = "README.md"
# Scores of the same weights, written and read back, may differ by no more than a kernel's rounding.
_SAME = 1e-3


@dataclass(frozen=True)
class SavedAdapter:
    """The adapter in the run folder: the weights of `step`; `checkpoint` is where they came from, None: the end."""

    step: int
    checkpoint: Path | None


def save_best(trainer: Any, config: Config, session: RunSession, reporter: Reporter) -> SavedAdapter:
    """Put the best adapter that was saved (or, without evaluation, the last) and the tokenizer into the folder.

    Warns if the best evaluation's checkpoint is not there: its save failed, or it is damaged.
    """
    best_step = trainer.state.best_global_step
    if config.load_best_model_at_end and best_step:
        best = session.paths.checkpoint(best_step)
        if best.is_dir() and inspect(best, best_step).complete:
            with session.files() as folder:
                trainer.processing_class.save_pretrained(folder)
                for name in _ADAPTER_FILES:
                    shutil.copyfile(best / name, folder / name)
            return SavedAdapter(best_step, best)
        reporter.warn(
            f"the best adapter, of step {best_step:,}, is missing or damaged; the run folder holds that of the last "
            f"step, {trainer.state.global_step:,}"
        )
    with session.files() as folder:
        trainer.processing_class.save_pretrained(folder)
        trainer.model.save_pretrained(folder)
        (folder / _MODEL_CARD).unlink(missing_ok=True)
    return SavedAdapter(trainer.state.global_step, None)


def score_saved(
    trainer: Any,
    saved: SavedAdapter,
    examples: TrainingExamples,
    paths: RunPaths,
    reporter: Reporter,
) -> dict[str, float]:
    """Metrics of the adapter as it is on disk: read back, loaded onto the base again, scored as in training.

    Warns if they are not what training gave for that step, so that a bad save cannot hide.
    """
    evaluation, rows = examples.evaluation, examples.eval_rows
    if evaluation is None:
        return {}
    with reporter.phase("Scoring the saved adapter", len(rows), "examples") as phase:
        scorer = trainer.scorer(load_adapter(trainer.model.unload(), paths.root))
        metrics = evaluation_metrics(scorer, evaluation, rows, phase.advance, examples.eval_users)
    found = {f"eval_{name}": value for name, value in metrics.items()}
    _compare_with_training(found, saved.step, trainer.state.log_history, reporter)
    return found


def _compare_with_training(
    found: dict[str, float], step: int, log_history: list[dict[str, float]], reporter: Reporter
) -> None:
    said = next((row for row in reversed(log_history) if "eval_loss" in row and row["step"] == step), None)
    if said is not None and abs(said["eval_loss"] - found["eval_loss"]) > _SAME * max(1.0, abs(said["eval_loss"])):
        reporter.warn(
            f"the saved adapter's eval_loss is {found['eval_loss']:.4f}, but training gave {said['eval_loss']:.4f} "
            f"at step {step:,}: the saved files' figures are the right ones"
        )
