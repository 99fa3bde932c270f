"""One model's entry in comparison.json, and the difference of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from movielora.evaluation.metrics.bootstrap import Draws, interval
from movielora.evaluation.metrics.calibration import best_f1_threshold, fit_temperature
from movielora.evaluation.metrics.formulas import ALL_METRICS, all_metrics
from movielora.scoring.log_odds import Bools, Floats
from movielora.scoring.predictions import Scores

_AT_THRESHOLD = ("accuracy", "precision", "recall", "f1")
_TEMPERED = ("log_loss", "brier", "ece")


@dataclass(frozen=True)
class Model:
    """One model on the test rows and, where it was scored there too, on the evaluation split."""

    name: str
    scores: Scores
    eval_log_odds: Floats | None = None
    eval_labels: Bools | None = None

    @property
    def answer_mass(self) -> Floats | None:
        """None where it was not measured for every row."""
        return self.scores.answer_mass if np.isfinite(self.scores.answer_mass).all() else None


def model_entry(model: Model, labels: Bools, points: dict[str, float], draws: Draws) -> dict[str, Any]:
    spans = {metric: interval(draws[metric]) for metric in ALL_METRICS}
    entry: dict[str, Any] = {
        "name": model.name,
        **points,
        "said_yes": float(model.scores.said_yes().mean()),
        "intervals": {metric: None if span is None else list(span) for metric, span in spans.items()},
        "at_best_f1": None,
        "calibrated": None,
    }
    if model.eval_log_odds is None or model.eval_labels is None or not len(model.eval_labels):
        return entry
    threshold = best_f1_threshold(model.eval_labels, model.eval_log_odds)
    at_threshold = all_metrics(labels, model.scores.log_odds, threshold=threshold)
    temperature = fit_temperature(model.eval_labels, model.eval_log_odds)
    tempered = all_metrics(labels, model.scores.log_odds / temperature)
    entry["at_best_f1"] = {"threshold": threshold} | {metric: at_threshold[metric] for metric in _AT_THRESHOLD}
    entry["calibrated"] = {"temperature": temperature} | {metric: tempered[metric] for metric in _TEMPERED}
    return entry


def difference_entry(
    adapter: dict[str, float], other: dict[str, float], adapter_draws: Draws, other_draws: Draws
) -> dict[str, Any]:
    found = {}
    for metric in ALL_METRICS:
        span = interval(adapter_draws[metric] - other_draws[metric])
        value = adapter[metric] - other[metric]
        found[metric] = {"value": value, "low": span and span[0], "high": span and span[1]}
    return found
