"""The more common answer, for every row."""

from __future__ import annotations

import numpy as np

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.scoring.log_odds import log_odds_of


def _fit(training: Features) -> Score:
    constant = float(log_odds_of(np.array(training.training.yes_rate)))
    return lambda split: np.full(len(split), constant)


BASELINES = (
    Baseline(
        "majority",
        "The more common answer",
        "the training split's share of Yes, for every row",
        needs=("train",),
        fit=_fit,
    ),
)
