"""Compare the same two columns on parts of the rows: by user, by candidate, by history.

Every slice gets n, accuracy, AUC, and candidate minus reference with an interval over users. Slices below
`MIN_SLICE_ROWS` rows are hidden and counted. A comparison looks at some forty slices at once, and two of forty would
be "significant" by chance; so each difference also carries a p-value corrected by Holm's method over all slices
shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from movielora.evaluation.metrics.bootstrap import Resampling, interval
from movielora.evaluation.metrics.formulas import auc, weighted_auc
from movielora.scoring.log_odds import Bools, Floats

MIN_SLICE_ROWS = 50
CLEAR_AT = 0.05

_YEAR = re.compile(r"\((\d{4})(?:[–-]\d{0,4})?\)\s*$")
_HISTORY = (5, 10, 15, 20, 30)
_TRAINED = (0, 10, 50, 100, 200, 500)
_LIKE_RATE = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Slicing:
    """One way to cut the rows. `members[i]` are the slices of row i, by their place in `names`: one for most ways,
    several for genre, none if unknown."""

    key: str
    title: str
    names: list[str]
    members: list[list[int]]

    def rows_of(self, place: int) -> Bools:
        return np.array([place in member for member in self.members], dtype=bool)


def cut_rows(columns: dict[str, Floats], candidates: list[str | None], genres: list[tuple[str, ...]]) -> list[Slicing]:
    """Every way that the data allows: `columns` as in `RowFacts`, titles and genres of the candidate, one a row.

    A way whose rows all fall into one slice is left out.
    """
    like_rate, its_name = columns["user_like_rate"], "User's like-rate"
    if not np.isfinite(like_rate).all():  # without ids, what the films shown say
        like_rate, its_name = columns["like_share"], "History's like-share"
    ways = [
        _by_bounds("history_length", "Films in the history", columns["history_length"], _HISTORY),
        _by_bounds("user_training", "User's training examples", columns["user_count"], _TRAINED),
        _by_tercile("popularity", "Candidate's popularity", columns["movie_count"]),
        _by_decade(candidates),
        _by_genre(genres),
        _by_share("user_like_rate", its_name, like_rate),
    ]
    return [way for way in ways if len(way.names) > 1]


def slice_figures(
    labels: Bools, reference: Floats, candidate: Floats, ways: list[Slicing], resampling: Resampling
) -> tuple[list[dict[str, Any]], int]:
    """The slices shown, each a dict of `comparison.json`, and how many were hidden for too few rows.

    `labels`, `reference`, `candidate` are (rows,); scores are log-odds.
    """
    shown: list[tuple[dict[str, Any], Bools]] = []
    hidden = 0
    for way in ways:
        for place, name in enumerate(way.names):
            rows = way.rows_of(place)
            if rows.sum() < MIN_SLICE_ROWS:
                hidden += 1
                continue
            shown.append((_point(way, name, rows, labels, reference, candidate), rows))
    draws = _draw_differences(labels, reference, candidate, [rows for _, rows in shown], resampling)
    figures = [point | _difference(point, *draw) for (point, _), draw in zip(shown, draws, strict=True)]
    _correct(figures)
    return figures, hidden


def _point(way: Slicing, name: str, rows: Bools, labels: Bools, reference: Floats, candidate: Floats) -> dict[str, Any]:
    truth = labels[rows]

    def figures(log_odds: Floats) -> dict[str, float]:
        return {"accuracy": float(((log_odds > 0) == truth).mean()), "auc": auc(truth, log_odds)}

    return {
        "by": way.key,
        "by_title": way.title,
        "slice": name,
        "n": int(rows.sum()),
        "positive_rate": float(truth.mean()),
        "reference": figures(reference[rows]),
        "candidate": figures(candidate[rows]),
    }


def _draw_differences(
    labels: Bools, reference: Floats, candidate: Floats, parts: list[Bools], resampling: Resampling
) -> list[tuple[Floats, Floats]]:
    """Candidate minus reference in each resample, for each part of the rows: (accuracy, AUC), each (resamples,)."""
    gain = ((candidate > 0) == labels).astype(float) - ((reference > 0) == labels)
    sums = [resampling.sums(np.column_stack([gain * rows, rows])) for rows in parts]
    found: list[list[tuple[Floats, Floats]]] = [[] for _ in parts]
    for weights in resampling.blocks():
        for place, rows in enumerate(parts):
            total, count = (weights @ sums[place]).T
            own = weights[:, resampling.owner[rows]]
            truth = labels[rows]
            by_auc = weighted_auc(truth, candidate[rows], own) - weighted_auc(truth, reference[rows], own)
            by_accuracy = np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)
            found[place].append((by_accuracy, by_auc))
    return [tuple(np.concatenate(column) for column in zip(*blocks, strict=True)) for blocks in found]  # type: ignore[misc]


def _difference(point: dict[str, Any], accuracy: Floats, by_auc: Floats) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric, draws in (("accuracy", accuracy), ("auc", by_auc)):
        value = point["candidate"][metric] - point["reference"][metric]
        span = interval(draws)
        found[metric] = {"value": value, "low": span and span[0], "high": span and span[1]}
        found[metric]["p_value"] = None if span is None else _p_value(value, draws)
    return {"candidate_minus_reference": found}


def _p_value(value: float, draws: Floats) -> float:
    """Two-sided, from the bootstrap's standard error and the normal curve: the percentiles of 2,000 resamples cannot
    separate .001 from .0001, which a correction over forty slices needs."""
    from scipy.stats import norm

    error = float(np.nanstd(draws))
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * norm.sf(abs(value) / error))


def _correct(figures: list[dict[str, Any]]) -> None:
    """Add `p_corrected` (Holm, *Scandinavian Journal of Statistics* 6 (1979), over all slices) and `clear`."""
    for metric in ("accuracy", "auc"):
        known = [each["candidate_minus_reference"][metric] for each in figures]
        p_values = [one["p_value"] for one in known if one["p_value"] is not None]
        corrected = iter(holm(p_values))
        for one in known:
            one["p_corrected"] = None if one["p_value"] is None else next(corrected)
            one["clear"] = one["p_corrected"] is not None and one["p_corrected"] < CLEAR_AT


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order.tolist()):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return [float(value) for value in adjusted]


def _by_bounds(key: str, title: str, column: Floats, bounds: tuple[int, ...]) -> Slicing:
    """Whole numbers into `≤ 5`, `6–10`, … `> 30`; those that occur, in order."""
    if not np.isfinite(column).all():
        return Slicing(key, title, [], [])
    places = np.searchsorted(bounds, column, side="left")
    names = [_span(bounds, place) for place in range(len(bounds) + 1)]
    return _single(key, title, names, places)


def _span(bounds: tuple[int, ...], place: int) -> str:
    if place == len(bounds):
        return f"over {bounds[-1]}"
    if place == 0:
        return f"up to {bounds[0]}" if bounds[0] else "none"
    low, high = bounds[place - 1] + 1, bounds[place]
    return f"{low}" if low == high else f"{low}–{high}"


def _by_share(key: str, title: str, column: Floats) -> Slicing:
    if not np.isfinite(column).all():
        return Slicing(key, title, [], [])
    edges = (0.0, *_LIKE_RATE, 1.0)
    names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)]
    return _single(key, title, names, np.searchsorted(_LIKE_RATE, column, side="right"))


def _by_tercile(key: str, title: str, counts: Floats) -> Slicing:
    """Thirds of the rows by the candidate's training answers; equal counts stay together."""
    if not np.isfinite(counts).all() or not len(counts):
        return Slicing(key, title, [], [])
    low, high = (int(value) for value in np.quantile(counts, [1 / 3, 2 / 3], method="lower"))
    names = [f"rare (up to {low})", f"middle ({low + 1}–{high})", f"popular (over {high})"]
    return _single(key, title, names, np.searchsorted([low, high], counts, side="left"))


def _by_decade(candidates: list[str | None]) -> Slicing:
    found = [_YEAR.search(title or "") for title in candidates]
    decades = [int(year[1]) // 10 * 10 if year else None for year in found]
    known = sorted({decade for decade in decades if decade is not None})
    place = {decade: index for index, decade in enumerate(known)}
    members = [[] if decade is None else [place[decade]] for decade in decades]
    return Slicing("decade", "Release decade", [f"{decade}s" for decade in known], members)


def _by_genre(genres: list[tuple[str, ...]]) -> Slicing:
    known = sorted({genre for row in genres for genre in row})
    place = {genre: index for index, genre in enumerate(known)}
    return Slicing("genre", "Genre", known, [sorted(place[genre] for genre in set(row)) for row in genres])


def _single(key: str, title: str, names: list[str], places: np.ndarray[Any, Any]) -> Slicing:
    """Rows in one slice each; slices that no row is in are dropped."""
    used = np.unique(places)
    new_place = {int(old): new for new, old in enumerate(used.tolist())}
    members = [[new_place[place]] for place in places.tolist()]
    return Slicing(key, title, [names[place] for place in used.tolist()], members)
