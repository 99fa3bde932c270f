"""The user's like-share and the film's like-rate as independent evidence, added in log-odds."""

from __future__ import annotations

import numpy as np

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.scoring.log_odds import Floats, log_odds_of


def _fit(training: Features) -> Score:
    """logit(user) + logit(film) − logit(everybody). The like-share is smoothed by one liked and one disliked film,
    since a sum of infinities says nothing."""
    general = float(log_odds_of(np.array(training.training.yes_rate)))

    def score(features: Features) -> Floats:
        length = features.split.history_length
        user = (features.like_share * length + 1) / (length + 2)
        return log_odds_of(user) + log_odds_of(features.like_rate) - general

    return score


BASELINES = (
    Baseline(
        "user_item_log_odds",
        "Like-share + like-rate",
        "log-odds of the like-share and the like-rate, added",
        needs=("train", "stars"),
        fit=_fit,
    ),
)
