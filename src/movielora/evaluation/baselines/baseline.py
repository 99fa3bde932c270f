"""What a baseline is, and the features it is fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from movielora.evaluation.features.split import SplitFeatures
from movielora.evaluation.features.training_counts import FilmNames, Tally, user_names
from movielora.scoring.log_odds import Bools, Floats

# A share of 0 or 1 in fifteen films is not certainty; this keeps the log loss finite and is far from any threshold.
CERTAIN = 1e-6

# The training split; stars in every history shown; user and film ids in every row.
Need = Literal["train", "stars", "ids"]
# Log-odds of Yes for every row: (rows,).
Score = Callable[["Features"], Floats]


@dataclass(frozen=True)
class Baseline:
    """A simple answer that a recommender must beat.

    `key` names it in JSON, `name` for people, `how` says in a line what it does. `fit` gets the features of the
    training split (of no rows if there is none and it does not need them) and returns what scores any split.
    """

    key: str
    name: str
    how: str
    needs: tuple[Need, ...]
    fit: Callable[[Features], Score]


class TrainingSplit:
    """What the features of every split need of the training split; computed when first asked for."""

    def __init__(self, split: SplitFeatures, asked: Iterable[SplitFeatures]) -> None:
        self.split = split
        self.films = FilmNames.shared_by(split, *asked)

    @cached_property
    def yes_rate(self) -> float:
        """The share of Yes, kept away from 0 and 1."""
        return float(np.clip(self.split.labels.mean(), CERTAIN, 1 - CERTAIN))

    @cached_property
    def tally(self) -> Tally:
        """Training answers by candidate."""
        return Tally.of(self.films.of(self.split), self.split.labels)


@dataclass(frozen=True)
class Features:
    """Columns of one split, each (rows,). Rows of the training split are left out of their own like-rate.

    An empty history says nothing of the user: its columns hold the mean of the training split.
    """

    split: SplitFeatures
    training: TrainingSplit

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> Bools:
        """True for Yes."""
        return self.split.labels

    @cached_property
    def like_rate(self) -> Floats:
        """The candidate's share of Yes in training, smoothed."""
        training = self.training
        own = self.labels if self.split is training.split else None
        return training.tally.like_rates(training.films.of(self.split), training.yes_rate, own)

    @cached_property
    def count(self) -> Floats:
        """ln(1 + training answers of the candidate)."""
        return np.log1p(self.training.tally.counts(self.training.films.of(self.split)))

    @cached_property
    def like_share(self) -> Floats:
        """Share of the films shown that the user liked, 0 to 1."""
        return self._filled(self.split.like_share, self.training.split.like_share)

    @cached_property
    def mean(self) -> Floats:
        """Mean rating of the films shown, in stars."""
        return self._filled(self.split.mean, self.training.split.mean)

    @cached_property
    def last_mean(self) -> Floats:
        """Mean rating of the last five films shown, in stars."""
        return self._filled(self.split.last_mean, self.training.split.last_mean)

    @cached_property
    def spread(self) -> Floats:
        """Standard deviation of the ratings shown, in stars."""
        return self._filled(self.split.spread, self.training.split.spread)

    @property
    def users(self) -> list[str]:
        """Who is asked; a row without a user is its own, never-seen user."""
        return user_names(self.split)

    @property
    def films(self) -> list[str]:
        """The candidates by movie_id."""
        return FilmNames(by_id=True).of(self.split)

    def _filled(self, column: Floats, in_training: Floats) -> Floats:
        return np.where(self.split.history_length == 0, _mean(in_training), column)


def _mean(column: Floats) -> float:
    known = column[np.isfinite(column)]
    return float(known.mean()) if len(known) else 0.0
