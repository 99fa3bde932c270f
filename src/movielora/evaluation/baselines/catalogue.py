"""The list of baselines. A new one is a file beside this one that holds `BASELINES`, and its name here."""

from __future__ import annotations

from importlib import import_module

from movielora.evaluation.baselines.baseline import Baseline

# In the order in which comparison.json lists them.
_FILES = (
    "majority",
    "candidate",
    "history",
    "log_odds_sum",
    "matrix_factorisation",
    "logistic",
)

BASELINES: tuple[Baseline, ...] = tuple(
    baseline for file in _FILES for baseline in import_module(f"{__package__}.{file}").BASELINES
)
BY_KEY = {baseline.key: baseline for baseline in BASELINES}
