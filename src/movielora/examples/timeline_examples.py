"""Examples of a prepared dataset: positions in the columns, made into films and titles only when one is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from movielora.dataset.films import Films
from movielora.dataset.timelines import Timelines
from movielora.examples.example import Example, Film
from movielora.examples.example_set import Labels, Rows


@dataclass(frozen=True)
class TimelineExamples:
    """`events` (rows,): the position of each example's rating in the timelines.

    The candidate is that rating's film, the answer is Yes if it has `liked_from` stars or more, and the history is at
    most `history_len` ratings just before it. 29 million examples are an array of 29 million numbers.
    """

    name: str
    timelines: Timelines
    films: Films
    events: Rows
    history_len: int
    liked_from: float

    @cached_property
    def labels(self) -> Labels:
        return (self.timelines.rating[self.events] >= self.liked_from).astype(np.int8)

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, row: int) -> Example:
        timelines, event = self.timelines, int(self.events[row])
        first = event - int(self.history_counts(np.array([row]))[0])
        user = timelines.users[timelines.user_index(self.events[row : row + 1] if row >= 0 else self.events[row:])[0]]
        return Example(
            history=tuple(self._film(position) for position in range(first, event)),
            candidate=self.films.titles[timelines.item[event]],
            label=bool(timelines.rating[event] >= self.liked_from),
            place=f"{self.name} row {row % len(self) + 1}",
            user=_plain(user),
            item=_plain(self.films.ids[timelines.item[event]]),
            time=int(timelines.timestamp[event]),
        )

    def __iter__(self) -> Iterator[Example]:
        return (self[row] for row in range(len(self)))

    def select(self, rows: Rows) -> TimelineExamples:
        return replace(self, events=self.events[rows])

    def history_counts(self, rows: Rows) -> NDArray[np.int64]:
        """How many films the history of each of `rows` shows: (rows,)."""
        events = self.events[rows]
        first = self.timelines.starts[self.timelines.user_index(events)]
        counts: NDArray[np.int64] = np.minimum(self.history_len, events - first)
        return counts

    def _film(self, position: int) -> Film:
        item = self.timelines.item[position]
        return Film(self.films.titles[item], float(self.timelines.rating[position]), _plain(self.films.ids[item]))


def _plain(identifier: object) -> int | str:
    """An id as Python's own number or text."""
    return int(identifier) if isinstance(identifier, np.integer) else str(identifier)
