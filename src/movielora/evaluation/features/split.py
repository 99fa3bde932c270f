"""Read a split as columns: who is asked, about which film, and the history shown with its stars.

Training-form records hold this in the text of `input`, which `parse_input` reads back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from movielora.examples.records import Record, parse_input, read_records
from movielora.scoring.log_odds import Bools, Floats, Ints

_LAST = 5


@dataclass(frozen=True)
class SplitFeatures:
    """The rows of one split. A user or film that the file does not name is None; a column of ratings is NaN where
    the history has no stars, or no films."""

    labels: Bools  # (rows,)
    users: list[str | None]
    movie_ids: list[str | None]
    titles: list[str | None]  # the candidate's
    timestamps: Floats  # (rows,), unix seconds, NaN where unknown
    history_length: Ints  # (rows,)
    has_ratings: Bools  # (rows,): the history, if any, has stars
    like_share: Floats  # (rows,): share of the history at or above `liked_at` stars
    mean: Floats  # (rows,): stars
    last_mean: Floats  # (rows,): stars, over the last 5 films
    spread: Floats  # (rows,): standard deviation, in stars

    def __len__(self) -> int:
        return len(self.labels)


def read_split(path: Path, liked_at: float) -> SplitFeatures:
    """The features of a file's records; a film is liked from `liked_at` stars. Raises DataError as `read_records`."""
    return split_features(read_records(path), liked_at)


def split_features(records: Iterable[Record], liked_at: float) -> SplitFeatures:
    """The features of labelled records, a row each, in their order."""
    labels: list[bool] = []
    users: list[str | None] = []
    movie_ids: list[str | None] = []
    titles: list[str | None] = []
    times: list[float] = []
    lengths: list[int] = []
    ratings: list[tuple[float, ...] | None] = []
    for record in records:
        history, stars, candidate = _history(record)
        labels.append(record.label)
        users.append(None if record.user_id is None else str(record.user_id))
        movie_ids.append(None if record.movie_id is None else str(record.movie_id))
        titles.append(candidate)
        times.append(np.nan if record.timestamp is None else float(record.timestamp))
        lengths.append(history)
        ratings.append(stars)
    like_share, mean, last_mean, spread = _history_figures(ratings, liked_at)
    return SplitFeatures(
        labels=np.array(labels, dtype=bool),
        users=users,
        movie_ids=movie_ids,
        titles=titles,
        timestamps=np.array(times),
        history_length=np.array(lengths, dtype=np.int64),
        has_ratings=np.array([stars is not None for stars in ratings], dtype=bool),
        like_share=like_share,
        mean=mean,
        last_mean=last_mean,
        spread=spread,
    )


def _history(record: Record) -> tuple[int, tuple[float, ...] | None, str | None]:
    """How many films the history shows, their stars, and the candidate's title."""
    if record.history_titles is not None:
        stars = record.history_ratings if record.history_titles else ()
        return len(record.history_titles), stars, record.candidate_title
    parsed = parse_input(record.input)
    return len(parsed.titles), parsed.ratings, parsed.candidate


def _history_figures(ratings: list[tuple[float, ...] | None], liked_at: float) -> tuple[Floats, ...]:
    """Like-share, mean, last mean and spread of each row, each (rows,)."""
    figures = np.full((4, len(ratings)), np.nan)
    by_length: dict[int, list[int]] = {}
    for row, stars in enumerate(ratings):
        if stars:
            by_length.setdefault(len(stars), []).append(row)
    for rows in by_length.values():
        block = np.array([ratings[row] for row in rows], dtype=np.float64)  # (rows of this length, films)
        figures[:, rows] = [
            (block >= liked_at).mean(axis=1),
            block.mean(axis=1),
            block[:, -_LAST:].mean(axis=1),
            block.std(axis=1),
        ]
    return tuple(figures)
