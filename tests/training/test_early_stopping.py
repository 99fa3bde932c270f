"""What is best, read from the log."""

from __future__ import annotations

import math

import pytest

from movielora.training.early_stopping import best_evaluation

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
    assert best_evaluation(LOG, metric, kept.__contains__) == best
