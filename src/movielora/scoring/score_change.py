"""Measure how far two sets of scores of the same rows differ: another precision of the base, or merged weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example import Example
from movielora.progress import Reporter
from movielora.scoring.scorer import Scorer

# Enough to see a change of a hundredth in the mean, few enough for a CPU.
CHANGE_ROWS = 200


@dataclass(frozen=True)
class ScoreChange:
    """Of the log-odds, after − before. `decisions_changed` counts the rows whose Yes became No or the reverse."""

    rows: int
    mean: float
    mean_absolute: float
    largest_absolute: float
    decisions_changed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        return (
            f"log-odds differ by {self.mean_absolute:.3f} on average (at most {self.largest_absolute:.3f}), "
            f"and {self.decisions_changed} of {self.rows} answers change"
        )


def score_change(before: NDArray[np.float64], after: NDArray[np.float64]) -> ScoreChange:
    """The change between two sets of log-odds of the same rows, both (rows,).

    Raises ValueError if there are no rows, or not as many in both.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} and {len(after)} scores are not of the same rows")
    change = after - before
    return ScoreChange(
        rows=len(change),
        mean=float(change.mean()),
        mean_absolute=float(np.abs(change).mean()),
        largest_absolute=float(np.abs(change).max()),
        decisions_changed=int(np.count_nonzero((before > 0) != (after > 0))),
    )


def rows_for_change(count: int, most: int = CHANGE_ROWS) -> list[int]:
    """At most `most` of `count` row numbers, evenly spread, so that all users are among them."""
    return [int(place) for place in np.linspace(0, count - 1, min(most, count)).round()]


def log_odds(scorer: Scorer, examples: Sequence[Example], reporter: Reporter, name: str) -> NDArray[np.float64]:
    """Score the examples with the adapter on, in a progress phase called `name`; (rows,)."""
    with reporter.phase(name, len(examples), "rows") as phase:
        return scorer.score(examples, on_batch=phase.advance).log_odds
