"""What is best, read from the log, and what a log ends."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from movielora.config import resolve_config
from movielora.progress import SILENT
from movielora.runs.stop_request import StopRequest
from movielora.training.loop.callbacks import RunCallback
from movielora.training.loop.early_stopping import best_kept_evaluation

LOG = [
    {"step": 1, "loss": 0.1},
    {"step": 2, "eval_auc": 0.6, "eval_log_loss": 0.9},
    {"step": 4, "eval_auc": 0.8, "eval_log_loss": 0.7},
    {"step": 6, "eval_auc": 0.8, "eval_log_loss": math.nan},
    {"step": 8, "eval_auc": 0.7, "eval_log_loss": 0.5},
]


@pytest.mark.parametrize(
    ("metric", "kept", "best"),
    [
        ("auc", {2, 4, 6, 8}, (4, 0.8)),
        ("auc", {2, 6, 8}, (6, 0.8)),
        ("auc", {2, 8}, (8, 0.7)),
        ("log_loss", {2, 4, 6, 8}, (8, 0.5)),
        ("log_loss", {2, 6}, (2, 0.9)),
        ("log_loss", {6}, None),
        ("f1", {2, 4, 6, 8}, None),
        ("auc", set(), None),
    ],
)
def test_best_evaluation_among_the_kept(metric: str, kept: set[int], best: tuple[int, float] | None) -> None:
    assert best_kept_evaluation(LOG, metric, kept.__contains__) == best


@pytest.mark.parametrize(
    ("stop", "saves"), [(StopRequest(), True), (StopRequest(requested=True, save=False), False)], ids=["none", "stop"]
)
def test_a_log_without_gain_saves_unless_a_stop_said_otherwise(stop: StopRequest, saves: bool) -> None:
    session = SimpleNamespace(stop=stop, log_metrics=lambda _: None)
    config = resolve_config(None, ["loss_plateau_patience=1"]).values
    with SILENT.phase("Training") as phase:
        callback = RunCallback(session, phase, config, SimpleNamespace(), None, SILENT)
    state = TrainerState(log_history=[{"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0}], global_step=2, max_steps=9)
    control = TrainerControl(should_training_stop=stop.requested)
    callback.on_log(TrainingArguments(), state, control, logs={"grad_norm": 1.0})
    assert (control.should_training_stop, control.should_save) == (True, saves)
