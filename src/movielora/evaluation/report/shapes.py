"""The shapes the page draws, counted over every row: histogram, confusion, ROC, precision over recall.

The page itself may hold only a sample of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from movielora.scoring.log_odds import Bools, Floats

_BINS = 40
# The span drawn holds all scores but these shares at its ends; outliers count at the edge.
_OUTLIERS = 0.002
_ROOM = 0.06
_MOST_POINTS = 300
_DIGITS = 5


def score_shapes(labels: Bools, log_odds: Floats) -> dict[str, Any]:
    """`span`: [low, high] in log-odds; `histogram` and `confusion`: a line for disliked rows, one for liked; `roc` and
    `recall`: points, None if every answer is the same. Arrays (rows,)."""
    low, high = score_span(log_odds)
    place = np.clip(np.floor((log_odds - low) / (high - low) * _BINS), 0, _BINS - 1).astype(np.int64)
    said_yes = log_odds > 0
    both = not (labels.all() or not labels.any())
    roc, recall = _rank_curves(labels, log_odds) if both else (None, None)
    return {
        "span": [low, high],
        "histogram": [np.bincount(place[labels == truth], minlength=_BINS).tolist() for truth in (False, True)],
        "confusion": [[int(((labels == truth) & (said_yes == said)).sum()) for said in (False, True)]
                      for truth in (False, True)],
        "roc": roc,
        "recall": recall,
    }  # fmt: skip


def score_span(log_odds: Floats) -> tuple[float, float]:
    """[low, high] that holds nearly all scores and 0, with a little room."""
    ordered = np.sort(log_odds[np.isfinite(log_odds)])
    if not len(ordered):
        return -1.0, 1.0
    last = len(ordered) - 1
    low = min(0.0, float(ordered[int(np.floor(last * _OUTLIERS))]))
    high = max(0.0, float(ordered[int(np.ceil(last * (1 - _OUTLIERS)))]))
    room = (high - low or 1.0) * _ROOM
    return low - room, high + room


def _rank_curves(labels: Bools, log_odds: Floats) -> tuple[list[list[float]], list[list[float]]]:
    """ROC and precision over recall, from the highest score down, ties as one step."""
    order = np.argsort(-log_odds, kind="stable")
    ranked, hits = log_odds[order], np.cumsum(labels[order])
    step = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last row of each tie
    found, taken = hits[step], step + 1
    yes, no = int(hits[-1]), len(labels) - int(hits[-1])
    roc = np.column_stack([(taken - found) / no, found / yes])
    recall = np.column_stack([found / yes, found / taken])
    return _thin(np.vstack([[0.0, 0.0], roc])), _thin(recall)


def _thin(points: Floats) -> list[list[float]]:
    """At most about 300 points, both ends kept."""
    step = -(-len(points) // _MOST_POINTS)
    kept = np.arange(len(points)) % step == 0
    kept[-1] = True
    return [[float(x), float(y)] for x, y in points[kept].round(_DIGITS)]
