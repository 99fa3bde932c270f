"""Figures of an evaluation: those that training logs, and those of the saved adapter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from movielora.evaluation.metrics.formulas import answer_metrics
from movielora.prompt.tokens import TokenizedExamples
from movielora.scoring.scorer import Scorer


def evaluation_metrics(
    scorer: Scorer, examples: TokenizedExamples, rows: NDArray[np.int64], on_batch: Callable[[int], None]
) -> dict[str, float]:
    """Score `rows` of labelled `examples`: the mean loss as `loss`, in nats, and `ANSWER_METRICS`."""
    scores, loss = scorer.score_tokens(examples, rows, on_batch=on_batch)
    labels = np.asarray(examples.labels)[rows] == 1
    return {"loss": loss, **answer_metrics(labels, scores.log_odds, scores.answer_mass)}
