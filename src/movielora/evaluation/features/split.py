"""Compute the features of a split: who is asked, about which film, and how the films shown were rated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movielora.errors import DataError
from movielora.examples.columns import ExampleColumns, read_columns
from movielora.examples.example_set import UNKNOWN_LABEL, YES_LABEL, ExampleSet
from movielora.scoring.log_odds import Bools, Floats, Ints

_LAST = 5


@dataclass(frozen=True)
class SplitFeatures:
    """The rows of one split. A user or film that the file does not name is None; a column of ratings is NaN if
    the history has no stars, or no films."""

    labels: Bools  # (rows,)
    users: list[str | None]
    movie_ids: list[str | None]
    titles: list[str | None]  # the candidate's, in natural order
    timestamps: Floats  # (rows,), unix seconds, NaN if unknown
    history_length: Ints  # (rows,)
    has_ratings: Bools  # (rows,): the history, if any, has stars
    like_share: Floats  # (rows,): share of the history at or above `liked_at` stars
    mean: Floats  # (rows,): stars
    last_mean: Floats  # (rows,): stars, over the last 5 films
    spread: Floats  # (rows,): standard deviation, in stars

    def __len__(self) -> int:
        return len(self.labels)


def split_features(examples: ExampleSet, liked_at: float) -> SplitFeatures:
    """The features of labelled examples, a row each, in their order; a film is liked from `liked_at` stars.

    Raises DataError if an answer is unknown, and as the examples' importer does.
    """
    require_answers(examples)
    return features_of(read_columns(examples), liked_at)


def require_answers(examples: ExampleSet) -> None:
    """Check that every answer is known. Raises DataError naming the first example whose answer is not."""
    unknown = np.flatnonzero(examples.labels == UNKNOWN_LABEL)
    if len(unknown):
        raise DataError(f"{examples[int(unknown[0])].place} has no answer", "compare rows whose answers are known")


def features_of(columns: ExampleColumns, liked_at: float) -> SplitFeatures:
    """The features of `columns`, none of whose answers is unknown; a film is liked from `liked_at` stars."""
    like_share, mean, last_mean, spread = _history_figures(columns, liked_at)
    unrated = np.r_[0, np.cumsum(np.isnan(columns.ratings))]
    return SplitFeatures(
        labels=columns.labels == YES_LABEL,
        users=columns.users,
        movie_ids=columns.items,
        titles=columns.titles,
        timestamps=columns.times,
        history_length=columns.history_length,
        has_ratings=unrated[columns.offsets[1:]] == unrated[columns.offsets[:-1]],
        like_share=like_share,
        mean=mean,
        last_mean=last_mean,
        spread=spread,
    )


def no_rows() -> SplitFeatures:
    """The features of a split that does not exist."""
    nothing = np.empty(0)
    empty = ExampleColumns(np.empty(0, np.int8), [], [], [], nothing, nothing, np.zeros(1, np.int64))
    return features_of(empty, 0.0)


def _history_figures(columns: ExampleColumns, liked_at: float) -> tuple[Floats, ...]:
    """Like-share, mean, last mean and spread of each row, each (rows,); NaN if the history is empty or not rated."""
    lengths, starts = columns.history_length, columns.offsets[:-1]
    figures = np.full((4, len(lengths)), np.nan)
    for length in np.unique(lengths[lengths > 0]).tolist():
        rows = np.flatnonzero(lengths == length)
        block = columns.ratings[starts[rows, None] + np.arange(length)]  # (rows of this length, films)
        known = ~np.isnan(block).any(axis=1)
        rows, block = rows[known], block[known]
        figures[:, rows] = [
            (block >= liked_at).mean(axis=1),
            block.mean(axis=1),
            block[:, -_LAST:].mean(axis=1),
            block.std(axis=1),
        ]
    return tuple(figures)
