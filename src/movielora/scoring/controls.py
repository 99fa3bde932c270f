"""Controls: score with the history shuffled or left out, to see whether the adapter uses the history at all."""

from __future__ import annotations

import numpy as np

from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.importers.rendered_text import known_films, reask

_SEED = 20_260_102


def shuffle_history(example: Example, row: int) -> Example:
    """Put the films of the history into another order, the same for the same `row`.

    Raises DataError if the example is a text that no films can be read from.
    """
    films = _count_films(example)
    return reask(example, np.random.default_rng([_SEED, row]).permutation(films).tolist())


def drop_history(example: Example, row: int) -> Example:
    """Leave the candidate without a history. Raises DataError as `shuffle_history`."""
    _count_films(example)
    return reask(example, [])


def _count_films(example: Example) -> int:
    films, candidate = known_films(example)
    if candidate is None:
        raise DataError(f"{example.place}: no films can be read from `input`", "compare without --controls")
    return len(films)
