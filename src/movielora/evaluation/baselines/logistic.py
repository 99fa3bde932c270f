"""Logistic regression on a few features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from movielora.evaluation.baselines.baseline import Baseline, Features, Score
from movielora.scoring.log_odds import Bools, Floats


def logistic(columns: Callable[[Features], list[Floats]]) -> Callable[[Features], Score]:
    """The `fit` of a baseline that is a logistic regression on `columns`."""

    def fit(training: Features) -> Score:
        model = fit_logistic(np.column_stack(columns(training)), training.labels)
        return lambda split: model(np.column_stack(columns(split)))

    return fit


def fit_logistic(rows: Floats, labels: Bools) -> Callable[[Floats], Floats]:
    """Fit on standardised columns (rows, features), L2 with C = 1; the result gives log-odds of (rows, features).

    If the training labels are all the same there is nothing to fit, and every row gets that answer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        constant = np.inf if labels[0] else -np.inf
        return lambda asked: np.full(len(asked), constant)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(rows, labels)
    return lambda asked: np.asarray(model.decision_function(asked), dtype=np.float64)


BASELINES = (
    Baseline(
        "mean_and_like_rate",
        "Two-feature logistic",
        "logistic regression: history mean, candidate like-rate",
        needs=("train", "stars"),
        fit=logistic(lambda f: [f.mean, f.like_rate]),
    ),
    Baseline(
        "six_features",
        "Six-feature logistic",
        "logistic regression: history mean, like-share, last-5 mean and spread, candidate like-rate and count",
        needs=("train", "stars"),
        fit=logistic(lambda f: [f.mean, f.like_rate, f.like_share, f.last_mean, f.count, f.spread]),
    ),
)
