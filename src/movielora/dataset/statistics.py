"""Statistics of a dataset: shares of Yes, ties, and leaks of time across users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movielora.dataset.splits import SPLITS, Splits
from movielora.dataset.timelines import Timelines


@dataclass(frozen=True)
class TimeLeak:
    """How far training reaches into the time of the test rows, through other users.

    `any_later` is the share of test rows for which at least one training example of another user is later;
    `mean_later` is, averaged over the test rows, the share of all training examples that are of another user and
    later. Both are 0 for a split at one moment.
    """

    any_later: float
    mean_later: float


def positive_rates(timelines: Timelines, splits: Splits, threshold: float) -> dict[str, float]:
    """The share of Yes in each split, 0 to 1."""
    return {name: float((timelines.rating[splits.events[name]] >= threshold).mean()) for name in SPLITS}


def tie_rate(timelines: Timelines) -> float:
    """The share of ratings that have the timestamp of another rating by the same user, 0 to 1."""
    same_as_next = timelines.timestamp[1:] == timelines.timestamp[:-1]
    same_as_next[timelines.starts[1:-1] - 1] = False  # the next rating is another user's
    tied = np.zeros(len(timelines.timestamp), dtype=bool)
    tied[1:] = same_as_next
    tied[:-1] |= same_as_next
    return float(tied.mean())


def time_leak(timelines: Timelines, splits: Splits) -> TimeLeak:
    """Compare test rows with the training examples that are strictly later.

    Those are of other users: both splits keep each user's own time order.
    """
    train, test = splits.events["train"], splits.events["test"]
    train_times = np.sort(timelines.timestamp[train])
    test_times = timelines.timestamp[test]
    later = len(train_times) - np.searchsorted(train_times, test_times, side="right")
    return TimeLeak(any_later=float((later > 0).mean()), mean_later=float(later.mean() / len(train)))
