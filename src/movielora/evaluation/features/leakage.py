"""Count leaks and ties between the splits: what may make every figure of a comparison look better than it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from movielora.evaluation.features.split import SplitFeatures
from movielora.scoring.log_odds import Floats


def describe_data(splits: dict[str, SplitFeatures]) -> dict[str, Any]:
    """Count rows, shares of Yes, leaks and ties of the splits "train", "eval", "test" (those there are).

    What needs a user, a film or a time that some row does not name is None: unknown, not 0.
    `time_leak` is the share of test rows for which some training example of another user is strictly later, and
    `time_leak_own` the same for the user's own; None without timestamps. `tied_rows` is the share of test rows that
    have the timestamp of another row of the same user. Shares are 0 to 1.
    """
    test, train = splits["test"], splits.get("train")
    return {
        "rows": {name: len(split) for name, split in splits.items()},
        "positive_rate": {name: float(split.labels.mean()) for name, split in splits.items()},
        "users": {name: _users(split) for name, split in splits.items()},
        "users_shared_with_training": None if train is None else _shared_users(train, test),
        "time_leak": None if train is None else _time_leak(train, test, own=False),
        "time_leak_own": None if train is None else _time_leak(train, test, own=True),
        "tied_rows": _tied_rows(splits),
        "questions_seen_in_training": None if train is None else _seen_questions(train, test),
    }


def _users(split: SplitFeatures) -> int | None:
    return None if None in split.users else len(set(split.users))


def _shared_users(train: SplitFeatures, test: SplitFeatures) -> int | None:
    """None if some row names no user: it may be anybody's."""
    if None in train.users or None in test.users:
        return None
    return len(set(test.users) & set(train.users))


def _time_leak(train: SplitFeatures, test: SplitFeatures, *, own: bool) -> float | None:
    if not (np.isfinite(train.timestamps).all() and np.isfinite(test.timestamps).all()):
        return None
    if None in train.users or None in test.users:
        return None
    latest: dict[str | None, float] = {}
    for user, time in zip(train.users, train.timestamps.tolist(), strict=True):
        latest[user] = max(time, latest.get(user, -np.inf))
    if own:
        later = np.array([latest.get(user, -np.inf) for user in test.users])
    else:
        later = _latest_of_others(latest, test.users)
    return float((later > test.timestamps).mean())


def _latest_of_others(latest: dict[str | None, float], users: list[str | None]) -> Floats:
    """The latest training time of anybody but the row's own user: (rows,). The two latest users are enough."""
    ordered = sorted(latest, key=lambda user: latest[user], reverse=True)[:2]
    first = ordered[0]
    second = latest[ordered[1]] if len(ordered) > 1 else -np.inf
    return np.array([second if user == first else latest[first] for user in users])


def _tied_rows(splits: dict[str, SplitFeatures]) -> float | None:
    test = splits["test"]
    if None in test.users or not np.isfinite(test.timestamps).all():
        return None
    seen: dict[tuple[str | None, float], int] = {}
    for split in splits.values():
        for event in zip(split.users, split.timestamps.tolist(), strict=True):
            seen[event] = seen.get(event, 0) + 1
    return float(np.mean([seen[event] > 1 for event in zip(test.users, test.timestamps.tolist(), strict=True)]))


def _seen_questions(train: SplitFeatures, test: SplitFeatures) -> int | None:
    """Test rows whose user was asked about the same film in training: copied rows, or a film rated twice."""
    if None in test.users or None in train.users:
        return None
    by_id = None not in train.movie_ids and None not in test.movie_ids
    trained, tested = (split.movie_ids if by_id else split.titles for split in (train, test))
    if None in trained or None in tested:
        return None
    asked = set(zip(train.users, trained, strict=True))
    return sum(question in asked for question in zip(test.users, tested, strict=True))
