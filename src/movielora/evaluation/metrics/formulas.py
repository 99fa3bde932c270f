"""Compute the metrics of scores: every figure that movielora prints about answers comes from here.

Scores are log-odds, logit(Yes) − logit(No), as float64 of shape (rows,); labels are bool, True if the user liked
the film. **The answer is Yes if log-odds are greater than the threshold** (0 is P(Yes) = .5); a tie, log-odds exactly
at the threshold, is No.

A metric that the data does not define is NaN, which becomes `null` in JSON: AUC if only one answer occurs, uAUC if no
user has both answers, answer mass if none was measured, everything if there are no rows or a score is NaN. Precision,
recall and F1 with an empty denominator are 0, as in scikit-learn.

All but the two AUCs are ratios of sums over rows. So a point estimate and a bootstrap interval share one formula:
`row_terms` gives the terms of each row, and `metrics_from_sums` reads the metrics off their sums, whatever was
summed over (all rows, or each of 2,000 resamples).
"""

from __future__ import annotations

import numpy as np

from movielora.scoring.log_odds import Bools, Floats, Ints, probability

# What training logs and `compare --json` has at its top level.
ANSWER_METRICS = ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "answer_mass")
# What a comparison holds for every model.
ALL_METRICS = ("accuracy", "precision", "recall", "f1", "auc", "uauc", "log_loss", "brier", "ece", "answer_mass")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})

ECE_BINS = 15

# Columns of `row_terms` before the ECE bins.
_ROWS, _CORRECT, _TRUE_YES, _SAID_YES, _IS_YES, _LOG_LOSS, _BRIER, _MASS, _FIRST_BIN = range(9)


def answer_metrics(
    labels: Bools, log_odds: Floats, answer_mass: Floats | None = None, *, threshold: float = 0.0
) -> dict[str, float]:
    """`ANSWER_METRICS` of one model. Arrays of shape (rows,); `threshold` in log-odds."""
    found = all_metrics(labels, log_odds, answer_mass, threshold=threshold)
    return {name: found[name] for name in ANSWER_METRICS}


def all_metrics(
    labels: Bools,
    log_odds: Floats,
    answer_mass: Floats | None = None,
    users: Ints | None = None,
    *,
    threshold: float = 0.0,
) -> dict[str, float]:
    """`ALL_METRICS` of one model. Arrays of shape (rows,); `users` are any integer ids, one a row."""
    if len(labels) == 0 or np.isnan(log_odds).any():
        return dict.fromkeys(ALL_METRICS, float("nan"))
    sums = row_terms(labels, log_odds, answer_mass, threshold=threshold).sum(axis=0)
    found = {name: float(value) for name, value in metrics_from_sums(sums).items()}
    found["auc"] = auc(labels, log_odds)
    found["uauc"] = float("nan") if users is None else uauc(labels, log_odds, users)
    return {name: found[name] for name in ALL_METRICS}


def row_terms(labels: Bools, log_odds: Floats, answer_mass: Floats | None = None, *, threshold: float = 0.0) -> Floats:
    """The terms of each row that `metrics_from_sums` needs summed: (rows, 8 + ECE_BINS)."""
    said_yes = log_odds > threshold
    p_yes = probability(log_odds)
    terms = np.zeros((len(labels), _FIRST_BIN + ECE_BINS))
    terms[:, _ROWS] = 1.0
    terms[:, _CORRECT] = said_yes == labels
    terms[:, _TRUE_YES] = said_yes & labels
    terms[:, _SAID_YES] = said_yes
    terms[:, _IS_YES] = labels
    terms[:, _LOG_LOSS] = row_log_loss(labels, log_odds)
    terms[:, _BRIER] = (p_yes - labels) ** 2
    terms[:, _MASS] = np.nan if answer_mass is None else answer_mass
    terms[np.arange(len(labels)), _FIRST_BIN + calibration_bin(p_yes)] = labels - p_yes
    return terms


def metrics_from_sums(sums: Floats) -> dict[str, Floats]:
    """Metrics from sums of `row_terms`: (…, columns) in, each metric of shape (…) out.

    - accuracy, precision = TP / said Yes, recall = TP / is Yes, F1 = 2 TP / (said Yes + is Yes): van Rijsbergen,
      *Information Retrieval* (1979), chapter 7.
    - log loss: mean of −ln P(the true answer), in nats.
    - Brier: mean of (P(Yes) − y)²; Brier, *Monthly Weather Review* 78 (1950), for two classes counted once.
    - ECE: Σ over 15 equal-width bins of P(Yes) of |mean y − mean P(Yes)|, weighted by the bin's share of rows;
      Naeini et al., AAAI 2015. (n_b / n) · |Σ(y − p) / n_b| is |Σ(y − p)| / n, so empty bins need no care.
    - answer mass: mean of P(Yes) + P(No) under the full softmax.
    """
    rows = sums[..., _ROWS]
    return {
        "accuracy": sums[..., _CORRECT] / rows,
        "precision": _ratio(sums[..., _TRUE_YES], sums[..., _SAID_YES]),
        "recall": _ratio(sums[..., _TRUE_YES], sums[..., _IS_YES]),
        "f1": _ratio(2 * sums[..., _TRUE_YES], sums[..., _SAID_YES] + sums[..., _IS_YES]),
        "log_loss": sums[..., _LOG_LOSS] / rows,
        "brier": sums[..., _BRIER] / rows,
        "ece": np.abs(sums[..., _FIRST_BIN:]).sum(axis=-1) / rows,
        "answer_mass": sums[..., _MASS] / rows,
    }


def row_log_loss(labels: Bools, log_odds: Floats) -> Floats:
    """−ln P(true answer) of each row, from log-odds: ln(1 + e^−s) for Yes and ln(1 + e^s) for No.

    Through the probability a confident error would become ln 0; `logaddexp` keeps it exact.
    """
    return np.logaddexp(0.0, np.where(labels, -log_odds, log_odds))


def calibration_bin(p_yes: Floats) -> Ints:
    """The bin 0 … 14 of each probability: equal width, closed below, 1.0 in the last."""
    return np.minimum((p_yes * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def auc(labels: Bools, log_odds: Floats) -> float:
    """P(a liked film scores above a disliked one), ties counting half; NaN if one answer is absent."""
    return float(weighted_auc(labels, log_odds, np.ones((1, len(labels))))[0])


def weighted_auc(labels: Bools, log_odds: Floats, weights: Floats) -> Floats:
    """AUC under row weights: `weights` (resamples, rows) → (resamples,).

    The Mann–Whitney form, Hanley & McNeil, *Radiology* 143 (1982): each liked row collects the weight of disliked
    rows that score lower, and half the weight of those that score the same.
    """
    # Both classes in order of score: each liked row then looks up how much disliked weight lies below it.
    liked, disliked = (np.flatnonzero(is_it)[np.argsort(log_odds[is_it], kind="stable")] for is_it in (labels, ~labels))
    below = np.zeros((len(weights), len(disliked) + 1))
    np.cumsum(weights[:, disliked], axis=1, out=below[:, 1:])
    strictly = np.searchsorted(log_odds[disliked], log_odds[liked], side="left")
    with_ties = np.searchsorted(log_odds[disliked], log_odds[liked], side="right")
    yes = weights[:, liked]
    won = np.einsum("bi,bi->b", yes, below[:, strictly] + below[:, with_ties]) / 2
    pairs = yes.sum(axis=1) * below[:, -1]
    found: Floats = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return found


def user_aucs(labels: Bools, log_odds: Floats, users: Ints) -> tuple[Ints, Floats]:
    """Each user's own AUC, NaN if a user has one answer only: the user ids, ascending, and (users,) values.

    The rank form with mid-ranks inside each user, all users at once: AUC = (R − m(m+1)/2) / (m·k), where R is the
    rank sum of the m liked among m + k rows.
    """
    ids, owner = np.unique(users, return_inverse=True)
    order = np.lexsort((log_odds, owner))
    owner, scores, liked = owner[order], log_odds[order], labels[order].astype(np.float64)
    count = np.bincount(owner, minlength=len(ids))
    first_row = np.cumsum(count) - count
    new_value = np.r_[True, (owner[1:] != owner[:-1]) | (scores[1:] != scores[:-1])][: len(owner)]
    tie = np.cumsum(new_value) - 1
    tie_size = np.bincount(tie)
    tie_first = np.flatnonzero(new_value)
    # 1-based mid-rank inside the user: the tie's first place, and half way through the tie.
    rank = tie_first[tie] - first_row[owner] + (tie_size[tie] + 1) / 2
    yes = np.bincount(owner, liked, len(ids))
    rank_sum = np.bincount(owner, rank * liked, len(ids))
    pairs = yes * (count - yes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ids, np.where(pairs > 0, (rank_sum - yes * (yes + 1) / 2) / pairs, np.nan)


def uauc(labels: Bools, log_odds: Floats, users: Ints) -> float:
    """The plain mean of AUC within users who have both answers (Zhang et al., CoLLM, 2023): who is lenient does
    not help here, only which film each user prefers. NaN if no user has both answers."""
    values = user_aucs(labels, log_odds, users)[1]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, and 0 if the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
