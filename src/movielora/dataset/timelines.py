"""Ratings → timelines: all ratings, user after user, each user's in time order.

An example is the position of one rating in its user's timeline: the `history_len` ratings just before it are shown,
its film is the candidate, and the answer is Yes if its rating reaches the threshold. 32 million ratings are 0.7 GB
in this form, and an example costs eight bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from movielora.dataset.films import Films, Places, distinct_ids, places_among

Integers = npt.NDArray[np.int64]

_BLOCK_USERS = 10_000


@dataclass(frozen=True)
class Timelines:
    """All ratings, user after user (ascending id), each user's in time order.

    `users` (users,) holds the ids; the ratings of `users[i]` are at `starts[i] : starts[i + 1]` of the three arrays
    (ratings,): the place of the film among the dataset's films, the stars, and unix seconds.
    """

    users: npt.NDArray[Any]
    starts: Integers
    item: Places
    rating: npt.NDArray[np.float64]
    timestamp: Integers

    def user_index(self, events: Integers) -> Integers:
        """For positions in the timelines, the positions of their users in `users`."""
        return np.searchsorted(self.starts, events, side="right") - 1


def build_timelines(ratings: pl.DataFrame, films: Films) -> Timelines:
    """Sort `ratings` (`user_id`, `movie_id`, `rating`, `timestamp`) by user, time, film, and order in the file.

    Films and users are ordered by their ids: whole numbers by value, text as Python orders strings.
    """
    users = distinct_ids(ratings["user_id"])
    ordered = pl.DataFrame(
        {
            "user": places_among(users, ratings["user_id"]),
            "item": films.places(ratings["movie_id"]),
            "rating": ratings["rating"],
            "timestamp": ratings["timestamp"],
        }
    ).sort("user", "timestamp", "item", maintain_order=True)
    counts = np.bincount(ordered["user"].to_numpy(), minlength=len(users))
    return Timelines(
        users=users,
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item=ordered["item"].to_numpy(),
        rating=ordered["rating"].to_numpy(),
        timestamp=ordered["timestamp"].to_numpy(),
    )


def drop_repeats(timelines: Timelines) -> tuple[Timelines, int]:
    """Keep a user's last rating of each film; returns the timelines and how many ratings were dropped.

    The last is the last in time; of two at one time, the last in the file. With an earlier one kept, a history would
    show the answer to its own question.
    """
    kept = np.ones(len(timelines.item), dtype=bool)
    films = int(timelines.item.max(initial=0)) + 1
    # blocks of users keep the keys small: those of all ratings at once are 0.5 GB for 32 million
    for first in range(0, len(timelines.users), _BLOCK_USERS):
        starts = timelines.starts[first : first + _BLOCK_USERS + 1]
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        keys = owner * films + timelines.item[starts[0] : starts[-1]]
        ordered = np.sort(keys)
        if (ordered[1:] == ordered[:-1]).any():
            order = np.argsort(keys, kind="stable")  # equal keys stay in the order of time
            ordered = keys[order]
            kept[starts[0] + order[:-1][ordered[1:] == ordered[:-1]]] = False
    dropped = int(len(kept) - kept.sum())
    return (_select(timelines, kept), dropped) if dropped else (timelines, 0)


def _select(timelines: Timelines, kept: npt.NDArray[np.bool_]) -> Timelines:
    """The ratings that are `kept`, (ratings,); every user keeps one at least."""
    before = np.concatenate(([0], np.cumsum(kept))).astype(np.int64)
    return Timelines(
        users=timelines.users,
        starts=before[timelines.starts],
        item=timelines.item[kept],
        rating=timelines.rating[kept],
        timestamp=timelines.timestamp[kept],
    )
