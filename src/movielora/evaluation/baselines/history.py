"""Baselines of the history only: how much the user liked the films shown."""

from __future__ import annotations

import numpy as np

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.evaluation.baselines.logistic import logistic
from movielora.scoring.log_odds import Floats, log_odds_of


def _fit_like_share(training: Features) -> Score:
    """Nothing is fitted."""
    return _like_share


def _like_share(features: Features) -> Floats:
    # No training split, so no mean to fall back on: an empty history is even odds.
    split = features.split
    return log_odds_of(np.where(split.history_length == 0, 0.5, split.like_share))


BASELINES = (
    Baseline(
        "history_like_share",
        "History's like-share",
        "share of the films shown that the user liked",
        needs=("stars",),
        fit=_fit_like_share,
    ),
    Baseline(
        "history_mean",
        "History's mean rating",
        "logistic regression on the mean of the stars shown",
        needs=("train", "stars"),
        fit=logistic(lambda f: [f.mean]),
    ),
)
