"""Controls: ask the adapter with the history shuffled or left out, to see whether it uses the history at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from movielora.errors import DataError
from movielora.examples.records import Record, parse_input
from movielora.prompt.template import render_input

_SEED = 20_260_102


def shuffle_history(record: Record, row: int) -> Record:
    """Put the films of the history into another order, the same for the same `row`. Raises DataError as `_films`."""
    titles, ratings, candidate = _films(record)
    order = np.random.default_rng([_SEED, row]).permutation(len(titles)).tolist()
    shuffled = tuple(titles[place] for place in order)
    stars = None if ratings is None else tuple(ratings[place] for place in order)
    return _asking(record, shuffled, stars, candidate)


def drop_history(record: Record, row: int) -> Record:
    """Leave the candidate without a history. Raises DataError as `_films`."""
    _, ratings, candidate = _films(record)
    return _asking(record, (), None if ratings is None else (), candidate)


def _films(record: Record) -> tuple[tuple[str, ...], tuple[float, ...] | None, str]:
    """Titles, stars and candidate of a record. Raises DataError if they cannot be read from it."""
    if record.history_titles is not None and record.candidate_title is not None:
        return record.history_titles, record.history_ratings, record.candidate_title
    parsed = parse_input(record.input)
    if parsed.candidate is None:
        raise DataError(f"{record.place}: no films can be read from `input`", "compare without --controls")
    return parsed.titles, parsed.ratings, parsed.candidate


def _asking(record: Record, titles: tuple[str, ...], ratings: tuple[float, ...] | None, candidate: str) -> Record:
    return replace(
        record,
        input=render_input(titles, ratings, candidate),
        history_titles=titles,
        history_ratings=ratings,
        candidate_title=candidate,
    )
