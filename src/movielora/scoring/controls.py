"""Controls: ask the adapter with the history shuffled or left out, to see whether it uses the history at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from movielora.errors import DataError
from movielora.examples.example import Example, Film
from movielora.examples.importers.rendered_text import known_films, own_text
from movielora.prompt.render import render_input

_SEED = 20_260_102


def shuffle_history(example: Example, row: int) -> Example:
    """Put the films of the history into another order, the same for the same `row`. Raises DataError as `_films`."""
    films, candidate = _films(example)
    order = np.random.default_rng([_SEED, row]).permutation(len(films)).tolist()
    return _asking(example, [films[place] for place in order], candidate)


def drop_history(example: Example, row: int) -> Example:
    """Leave the candidate without a history. Raises DataError as `_films`."""
    return _asking(example, [], _films(example)[1])


def _films(example: Example) -> tuple[tuple[Film, ...], str]:
    """History and candidate of an example. Raises DataError if they cannot be read from it."""
    films, candidate = known_films(example)
    if candidate is None:
        raise DataError(f"{example.place}: no films can be read from `input`", "compare without --controls")
    return films, candidate


def _asking(example: Example, films: Sequence[Film], candidate: str) -> Example:
    """The same question about other films; an example that is text stays text, in its own form."""
    if example.text is None:
        return replace(example, history=tuple(films))
    stars = [film.rating for film in films if film.rating is not None]
    rendered = render_input([film.title for film in films], stars if len(stars) == len(films) else None, candidate)
    text = example.text
    return replace(example, text=own_text(rendered, text.instruction, text.system, text.turns))
