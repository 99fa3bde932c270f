"""Fit every baseline on the training split only, and score the other splits.

Each baseline gives a P(Yes) for every row of the evaluation and test splits, and is measured by the same code as the
models. On `ml-latest-small` (default split, 8,965 test rows) they reach AUC .50 to .80; a LoRA adapter's usual .75
loses to two lines of arithmetic, which a tool that prints only base and adapter would hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from movielora.evaluation.baselines.baseline import CERTAIN, Features, Need, TrainingSplit
from movielora.evaluation.baselines.catalogue import BASELINES
from movielora.evaluation.features.split import SplitFeatures, no_rows
from movielora.scoring.log_odds import Floats, log_odds_of


@dataclass(frozen=True)
class Fitted:
    """`log_odds[key][split]`, each (rows,), for the splits asked for; `left_out[key]` is the reason."""

    log_odds: dict[str, dict[str, Floats]]
    left_out: dict[str, str]


def fit_baselines(train: SplitFeatures | None, splits: Mapping[str, SplitFeatures]) -> Fitted:
    """Fit on `train` and score `splits` ("test", and "eval" if there is one).

    A baseline that needs what a split lacks (the training file, stars in the histories, user and film ids) is left
    out and named, never approximated.
    """
    reasons = _missing(train, splits)
    training = TrainingSplit(no_rows() if train is None else train, splits.values())
    fitting = Features(training.split, training)
    asked = {name: Features(split, training) for name, split in splits.items()}
    log_odds: dict[str, dict[str, Floats]] = {}
    left_out: dict[str, str] = {}
    for baseline in BASELINES:
        missing = next((reasons[need] for need in baseline.needs if reasons[need]), "")
        if missing:
            left_out[baseline.key] = missing
            continue
        score = baseline.fit(fitting)
        log_odds[baseline.key] = {name: _bounded(score(features)) for name, features in asked.items()}
    return Fitted(log_odds, left_out)


def _missing(train: SplitFeatures | None, splits: Mapping[str, SplitFeatures]) -> dict[Need, str]:
    """Why each need is not met; "" if it is."""
    every = [*splits.values()] if train is None else [train, *splits.values()]
    return {
        "train": "there is no training file" if train is None else "",
        "stars": "" if all(split.has_ratings.all() for split in every) else "some histories show no ratings",
        "ids": _missing_ids(every),
    }


def _missing_ids(splits: list[SplitFeatures]) -> str:
    for what, columns in (("user_id", [s.users for s in splits]), ("movie_id", [s.movie_ids for s in splits])):
        missing = sum(name is None for column in columns for name in column)
        if missing:
            return f"{what} is missing in {missing:,} rows"
    return ""


def _bounded(log_odds: Floats) -> Floats:
    limit = float(log_odds_of(np.array(1 - CERTAIN)))
    return np.clip(log_odds, -limit, limit)
