"""Figures of an evaluation: those that training logs, and those of the saved adapter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from movielora.evaluation.metrics.formulas import answer_metrics, uauc
from movielora.examples.example_set import UNKNOWN_LABEL, YES_LABEL
from movielora.prompt.token_sets import PromptTokens
from movielora.scoring.scorer import Scorer


def evaluation_metrics(
    scorer: Scorer,
    examples: PromptTokens,
    rows: NDArray[np.int64],
    on_batch: Callable[[int], None],
    users: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Score `rows` of `examples`: the mean loss as `loss`, in nats, and `ANSWER_METRICS`, over the known answers.

    `users` (rows,) numbers the user of each row: then `uauc` is among the metrics, if a user has both answers.
    """
    scores, loss = scorer.score_tokens(examples, rows, on_batch=on_batch)
    labels = examples.labels[rows]
    known = labels != UNKNOWN_LABEL
    liked, log_odds = labels[known] == YES_LABEL, scores.log_odds[known]
    metrics = answer_metrics(liked, log_odds, scores.answer_mass[known])
    if users is not None and math.isfinite(value := uauc(liked, log_odds, users[known])):
        metrics["uauc"] = value
    return {"loss": loss, **metrics}
