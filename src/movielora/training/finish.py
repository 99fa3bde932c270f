"""The end of a training: the best adapter into the run folder, and its score from the saved files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.config import Config
from movielora.data.tokens import TokenizedExamples
from movielora.evaluation.metrics import answer_metrics
from movielora.model.lora import load_adapter
from movielora.model.scoring import score
from movielora.progress import Reporter
from movielora.runs.paths import RunPaths

# What a user of plain PEFT and transformers needs, out of a checkpoint.
_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
# Scores of the same weights, written and read back, may differ by kernel rounding alone.
_SAME = 1e-3


def save_best(trainer: Any, config: Config, paths: RunPaths) -> Path | None:
    """Put the best adapter (or the last, without evaluation) and the tokenizer into the run folder.

    Returns the checkpoint it was taken from, None where it is the last state.
    """
    best_step = trainer.state.best_global_step
    best = paths.checkpoint(best_step) if config.load_best_model_at_end and best_step else None
    trainer.processing_class.save_pretrained(paths.root)
    if best is None or not best.is_dir():
        trainer.model.save_pretrained(paths.root)
        return None
    for name in _ADAPTER_FILES:
        shutil.copyfile(best / name, paths.root / name)
    return best


def score_saved(
    trainer: Any,
    evaluation: TokenizedExamples | None,
    rows: NDArray[np.int64],
    paths: RunPaths,
    reporter: Reporter,
) -> dict[str, float]:
    """Metrics of the adapter as it stands on disk: read back, put on the base anew, scored as in training.

    Warns where they are not what training said of that step, so that a bad save cannot hide.
    """
    if evaluation is None:
        return {}
    with reporter.phase("Scoring the saved adapter", len(rows), "examples") as phase:
        model = load_adapter(trainer.model.unload(), paths.root)
        scores, loss = score(
            model,
            evaluation,
            rows,
            batch_size=trainer.args.per_device_eval_batch_size,
            on_batch=phase.advance,
        )
    labels = np.asarray(evaluation.labels)[rows]
    found = {"eval_loss": loss}
    found |= {f"eval_{k}": v for k, v in answer_metrics(labels, scores.log_odds, scores.answer_mass).items()}
    _compare_with_training(found, trainer, reporter)
    return found


def _compare_with_training(found: dict[str, float], trainer: Any, reporter: Reporter) -> None:
    step = trainer.state.best_global_step or trainer.state.global_step
    said = next(
        (row for row in reversed(trainer.state.log_history) if "eval_loss" in row and row["step"] == step), None
    )
    if said is not None and abs(said["eval_loss"] - found["eval_loss"]) > _SAME * max(1.0, abs(said["eval_loss"])):
        reporter.warn(
            f"the saved adapter's eval_loss is {found['eval_loss']:.4f}, but training said {said['eval_loss']:.4f} "
            f"at step {step}: trust the saved files' figures"
        )
