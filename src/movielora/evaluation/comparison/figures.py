"""Compute one column's entry in comparison.json, the difference of two, and the warnings about one."""

from __future__ import annotations

from typing import Any

import numpy as np

from movielora.evaluation.comparison.columns import Column
from movielora.evaluation.metrics.bootstrap import Draws, interval
from movielora.evaluation.metrics.calibration import best_f1_threshold, fit_temperature
from movielora.evaluation.metrics.formulas import ALL_METRICS, all_metrics
from movielora.scoring.log_odds import Bools
from movielora.scoring.score_table import Scores

_AT_THRESHOLD = ("accuracy", "precision", "recall", "f1")
_TEMPERED = ("log_loss", "brier", "ece")
# Padding and batch shape move log-odds by about this much in bf16: a decision nearer to 0 could fall either way.
NEAR_THRESHOLD = 0.05
# Below it the model would rather say something else than Yes or No.
UNANSWERED_MASS = 0.5


def column_entry(column: Column, labels: Bools, points: dict[str, float], draws: Draws) -> dict[str, Any]:
    """Every metric of a column with its interval; what a threshold and a temperature fitted on the evaluation split
    would change, None if it was not scored there. `points` and `draws` are by metric."""
    spans = {metric: interval(draws[metric]) for metric in ALL_METRICS}
    entry: dict[str, Any] = {
        "name": column.name,
        **points,
        "said_yes": float(column.scores.said_yes().mean()),
        "intervals": {metric: None if span is None else list(span) for metric, span in spans.items()},
        "at_best_f1": None,
        "calibrated": None,
    }
    if column.eval_log_odds is None or column.eval_labels is None or not len(column.eval_labels):
        return entry
    threshold = best_f1_threshold(column.eval_labels, column.eval_log_odds)
    at_threshold = all_metrics(labels, column.scores.log_odds, threshold=threshold)
    temperature = fit_temperature(column.eval_labels, column.eval_log_odds)
    tempered = all_metrics(labels, column.scores.log_odds / temperature)
    entry["at_best_f1"] = {"threshold": threshold} | {metric: at_threshold[metric] for metric in _AT_THRESHOLD}
    entry["calibrated"] = {"temperature": temperature} | {metric: tempered[metric] for metric in _TEMPERED}
    return entry


def difference_entry(
    candidate: dict[str, float], other: dict[str, float], candidate_draws: Draws, other_draws: Draws
) -> dict[str, Any]:
    """Candidate minus another column, `{metric: {value, low, high}}`; both drawn in the same resamples."""
    found = {}
    for metric in ALL_METRICS:
        span = interval(candidate_draws[metric] - other_draws[metric])
        value = candidate[metric] - other[metric]
        found[metric] = {"value": value, "low": span and span[0], "high": span and span[1]}
    return found


def answer_warnings(scores: Scores) -> dict[str, Any]:
    """Count decisions within rounding of the threshold and rows without an answer; the share of rows in which
    generated text (`compare --mode generate`) says what the log-odds say, None if none was generated."""
    mass = scores.answer_mass
    measured = bool(np.isfinite(mass).all())
    unanswered = (mass < UNANSWERED_MASS) | ~scores.answered if measured else ~scores.answered
    return {
        "near_threshold": int((np.abs(scores.log_odds) < NEAR_THRESHOLD).sum()),
        "unanswered_share": float(unanswered.mean()),
        "text_agreement": None if scores.text_agrees is None else float(scores.text_agrees.mean()),
    }
