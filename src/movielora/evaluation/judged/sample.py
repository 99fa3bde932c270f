"""Choose the rows that a comparison judges: all of the test file, or a sample over its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.evaluation.features.split import require_answers
from movielora.examples.columns import user_numbers
from movielora.examples.example_set import ExampleSet, Rows
from movielora.examples.timeline_examples import TimelineExamples

# Not a config's seed: two runs that were trained with different seeds are judged on the same rows.
SAMPLE_SEED = 20_260_101


@dataclass(frozen=True)
class ChosenRows:
    """`places` are row numbers in a file of `total` rows, ascending; `users` of them are known, None if not all are."""

    places: Rows
    total: int
    users: int | None

    @property
    def is_sample(self) -> bool:
        return len(self.places) < self.total

    @property
    def numbers(self) -> Rows | None:
        """The row numbers of a sample; None for all rows."""
        return self.places if self.is_sample else None

    def of(self, examples: ExampleSet) -> ExampleSet:
        """The chosen ones of the file's `examples`."""
        return examples.select(self.places) if self.is_sample else examples

    def to_json(self) -> dict[str, Any] | None:
        """What comparison.json says of a sample; None if all rows were compared."""
        if not self.is_sample:
            return None
        return {"rows": len(self.places), "of": self.total, "users": self.users, "seed": SAMPLE_SEED}


def choose_rows(examples: ExampleSet, most: int | None) -> ChosenRows:
    """All of `examples`, or a sample of `most`. Raises DataError naming a chosen row whose answer is unknown."""
    total = len(examples)
    if most is None or most >= total:
        require_answers(examples)
        return ChosenRows(np.arange(total, dtype=np.int64), total, None)
    users = user_numbers(examples)
    places = sample_over_users(np.arange(total) if users is None else users, most)
    chosen = examples.select(places)
    require_answers(chosen)
    if users is None or not (isinstance(chosen, TimelineExamples) or all(row.user is not None for row in chosen)):
        return ChosenRows(places, total, None)
    return ChosenRows(places, total, len(np.unique(users[places])))


def sample_over_users(users: NDArray[np.int64], most: int, seed: int = SAMPLE_SEED) -> Rows:
    """`most` row numbers, ascending, of as many users as possible: one row of each, then a second, and so on.

    `users` (rows,) is a number for each user.
    """
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(users))
    _, of_user = np.unique(users, return_inverse=True)
    by_user = shuffled[np.argsort(of_user[shuffled], kind="stable")]  # user after user, each in random order
    counts = np.bincount(of_user)
    turn = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    order_of_users = random.permutation(len(counts))
    chosen = by_user[np.lexsort((order_of_users[of_user[by_user]], turn))[:most]]
    return np.sort(chosen).astype(np.int64)
