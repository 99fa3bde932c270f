"""Compute intervals by the bootstrap over users, all models in the same resamples.

Rows of one user are not independent, so users are drawn, with replacement and with all their rows (the cluster
bootstrap; Davison & Hinkley, *Bootstrap Methods and their Application* (1997), 3.8); if users are unknown, rows
are. A resample is a weight for each user, 0, 1, 2 …; nothing is copied and no Python loop runs over resamples.
An interval is the span between the 2.5% and 97.5% points of the resampled values. Every model sees the same
resamples, so the interval of a difference is paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from movielora.evaluation.metrics.formulas import ALL_METRICS, metrics_from_sums, row_terms, user_aucs, weighted_auc
from movielora.scoring.log_odds import Bools, Floats, Ints

RESAMPLES = 2_000
SEED = 20_260_101
LOW, HIGH = 2.5, 97.5
# Resamples in which a metric is undefined (a single class was drawn) are left out; past this share of them the data
# cannot carry an interval and none is given.
_MOST_UNDEFINED = 0.05
# Row weights held at once: 32 MB.
_BLOCK_CELLS = 4_000_000

# A resampled metric: (resamples,).
Draws = dict[str, Floats]


@dataclass(frozen=True)
class Resampling:
    """Which rows move together: `unit` "users" or "rows", and `owner` (rows,) the unit of each row, 0 … units − 1."""

    owner: Ints
    units: int
    unit: str
    seed: int = SEED
    resamples: int = RESAMPLES

    @classmethod
    def over(cls, users: Ints | None, rows: int, *, seed: int = SEED, resamples: int = RESAMPLES) -> Resampling:
        """Over `users` (rows,), any integer ids; over rows if there are none."""
        if users is None:
            return cls(np.arange(rows), rows, "rows", seed, resamples)
        ids, owner = np.unique(users, return_inverse=True)
        return cls(owner, len(ids), "users", seed, resamples)

    def blocks(self) -> Iterator[Floats]:
        """Weights of the units, (block, units), block after block; the same seed gives the same weights."""
        generator = np.random.default_rng(self.seed)
        size = max(1, _BLOCK_CELLS // max(1, len(self.owner), self.units))
        for start in range(0, self.resamples, size):
            count = min(size, self.resamples - start)
            drawn = generator.integers(0, self.units, size=(count, self.units))
            cells = drawn + np.arange(count)[:, None] * self.units
            yield np.bincount(cells.ravel(), minlength=count * self.units).reshape(count, self.units).astype(float)

    def sums(self, terms: Floats) -> Floats:
        """(rows, columns) summed over the rows of each unit: (units, columns)."""
        summed = np.zeros((self.units, terms.shape[1]))
        np.add.at(summed, self.owner, terms)
        return summed


@dataclass(frozen=True)
class Scored:
    """One model's scores for the bootstrap; arrays of shape (rows,), `threshold` in log-odds."""

    log_odds: Floats
    answer_mass: Floats | None = None
    threshold: float = 0.0


def draw_metrics(labels: Bools, models: dict[str, Scored], resampling: Resampling) -> dict[str, Draws]:
    """`ALL_METRICS` of each model in each resample: {model: {metric: (resamples,)}}."""
    sums = {
        name: resampling.sums(row_terms(labels, m.log_odds, m.answer_mass, threshold=m.threshold))
        for name, m in models.items()
    }
    own = {name: _user_terms(labels, model.log_odds, resampling) for name, model in models.items()}
    found: dict[str, dict[str, list[Floats]]] = {name: {metric: [] for metric in ALL_METRICS} for name in models}
    for weights in resampling.blocks():
        row_weights = weights[:, resampling.owner]
        for name, model in models.items():
            block = metrics_from_sums(weights @ sums[name])
            block["auc"] = weighted_auc(labels, model.log_odds, row_weights)
            block["uauc"] = _weighted_uauc(weights, own[name])
            for metric in ALL_METRICS:
                found[name][metric].append(block[metric])
    return {name: {metric: np.concatenate(parts) for metric, parts in each.items()} for name, each in found.items()}


def interval(draws: Floats) -> tuple[float, float] | None:
    """The 95% percentile interval of resampled values (resamples,); None if the metric is mostly undefined."""
    known = draws[np.isfinite(draws)]
    if len(known) == 0 or len(known) < (1 - _MOST_UNDEFINED) * len(draws):
        return None
    low, high = np.percentile(known, [LOW, HIGH])
    return float(low), float(high)


def _user_terms(labels: Bools, log_odds: Floats, resampling: Resampling) -> Floats:
    """(units, 2): each user's own AUC and a 1, or two zeros if it is undefined; zeros if rows are resampled."""
    if resampling.unit == "rows":
        return np.zeros((resampling.units, 2))
    values = user_aucs(labels, log_odds, resampling.owner)[1]
    return np.column_stack([np.nan_to_num(values), np.isfinite(values)])


def _weighted_uauc(weights: Floats, own: Floats) -> Floats:
    total, users = (weights @ own).T
    mean: Floats = np.divide(total, users, out=np.full(len(weights), np.nan), where=users > 0)
    return mean
