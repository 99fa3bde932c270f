"""Baselines of the candidate only: how often the training split rated it, and how often it was liked."""

from __future__ import annotations

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.evaluation.baselines.logistic import logistic
from movielora.scoring.log_odds import log_odds_of


def _fit_like_rate(training: Features) -> Score:
    return lambda split: log_odds_of(split.like_rate)


BASELINES = (
    Baseline(
        "popularity",
        "Candidate's popularity",
        "logistic regression on the candidate's training count",
        needs=("train",),
        fit=logistic(lambda f: [f.count]),
    ),
    Baseline(
        "like_rate",
        "Candidate's like-rate",
        "share of the candidate's training answers that are Yes, smoothed",
        needs=("train",),
        fit=_fit_like_rate,
    ),
)
