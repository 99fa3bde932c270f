"""Fit temperature and threshold on the evaluation split, never on the rows that are judged."""

from __future__ import annotations

import math

import numpy as np

from movielora.evaluation.metrics.formulas import ECE_BINS, calibration_bin, row_log_loss
from movielora.scoring.log_odds import Bools, Floats, probability

# A model whose scores carry no information gets an infinite temperature; past this the probabilities are even anyway.
_COLDEST, _HOTTEST = 0.01, 1_000.0


def fit_temperature(labels: Bools, log_odds: Floats) -> float:
    """The T > 0 that minimises the log loss of log_odds / T; Guo et al., ICML 2017. Above 1: an overconfident model.

    Kept within 0.01 … 1,000. One class, or scores that point the wrong way, end at a bound.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return float(row_log_loss(labels, log_odds / math.exp(log_temperature)).mean())

    bounds = (math.log(_COLDEST), math.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def best_f1_threshold(labels: Bools, log_odds: Floats) -> float:
    """The log-odds above which saying Yes gives the best F1; of equals the highest.

    Thresholds lie half way between neighbouring scores, or below the lowest (then every answer is Yes). 0 if no
    label is Yes: F1 is 0 everywhere.
    """
    if not labels.any():
        return 0.0
    order = np.argsort(-log_odds, kind="stable")
    scores, liked = log_odds[order], labels[order]
    said = np.arange(1, len(scores) + 1)
    f1 = 2 * np.cumsum(liked) / (said + liked.sum())
    # Rows of equal score are on the same side: only the last of each tie can be a cut.
    cuts = np.r_[scores[1:] != scores[:-1], True]
    best = int(np.argmax(np.where(cuts, f1, -1.0)))
    below = scores[best + 1] if best + 1 < len(scores) else scores[best] - 1.0
    return float((scores[best] + below) / 2)


def reliability(labels: Bools, log_odds: Floats) -> list[dict[str, float]]:
    """The bins of a reliability diagram that hold rows: {"low", "high", "rows", "mean_p_yes", "share_yes"}."""
    p_yes = probability(log_odds)
    bins = calibration_bin(p_yes)
    rows = np.bincount(bins, minlength=ECE_BINS)
    said, liked = (np.bincount(bins, column, ECE_BINS) for column in (p_yes, labels.astype(float)))
    return [
        {
            "low": bin_ / ECE_BINS,
            "high": (bin_ + 1) / ECE_BINS,
            "rows": int(rows[bin_]),
            "mean_p_yes": float(said[bin_] / rows[bin_]),
            "share_yes": float(liked[bin_] / rows[bin_]),
        }
        for bin_ in np.flatnonzero(rows).tolist()
    ]
