"""Examples as records: rendered block by block and written at once, so that memory holds one block.

All text comes from `movielora.data.prompt`. The text of a film with its rating is made once and used in every history
it stands in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from movielora.data.dataset_folder import RecordFile
from movielora.data.examples import Integers, Timelines
from movielora.data.movie_files import Movie
from movielora.data.prompt import INSTRUCTION, NO, SYSTEM, YES, assemble_input, film_text
from movielora.progress import Phase

_BLOCK = 4096
# All pairs of film and rating of MovieLens 32M's usual films; at 200 bytes each about 50 MB.
_KEPT_TEXTS = 1 << 18
_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True)
class Example:
    """One rating to predict; `titles`, `ratings` and `films` (rendered) are its history, oldest first."""

    user_id: int
    movie_id: int
    timestamp: int
    candidate: str
    answer: str
    titles: list[str]
    ratings: list[float]
    films: list[str]


class ExampleReader:
    """Makes examples from positions in the timelines. `titles` names films; one without a title is `Movie 123`."""

    def __init__(self, timelines: Timelines, movies: Mapping[int, Movie], history_len: int, threshold: float) -> None:
        self._timelines, self._movies = timelines, movies
        self._history_len, self._threshold = history_len, threshold
        self._film_text = lru_cache(_KEPT_TEXTS)(self._render_film)

    def blocks(self, events: Integers) -> Iterator[list[Example]]:
        for start in range(0, len(events), _BLOCK):
            yield self._block(events[start : start + _BLOCK])

    def _block(self, events: Integers) -> list[Example]:
        lines = self._timelines
        shown = events[:, None] + np.arange(-self._history_len, 0)  # (block, history_len)
        distinct, place = np.unique(shown, return_inverse=True)
        place = place.reshape(shown.shape)
        movie_ids, ratings = lines.movie_id[distinct].tolist(), lines.rating[distinct].tolist()
        titles = np.array([self._title(movie) for movie in movie_ids], dtype=object)
        films = np.array(list(map(self._film_text, movie_ids, ratings)), dtype=object)
        candidates = lines.movie_id[events].tolist()
        return [
            Example(user, movie, time, self._title(movie), YES if liked else NO, *history)
            for user, movie, time, liked, *history in zip(
                lines.users[lines.user_index(events)].tolist(),
                candidates,
                lines.timestamp[events].tolist(),
                (lines.rating[events] >= self._threshold).tolist(),
                titles[place].tolist(),
                lines.rating[shown].tolist(),
                films[place].tolist(),
                strict=True,
            )
        ]

    def _title(self, movie_id: int) -> str:
        movie = self._movies.get(movie_id)
        return movie.title if movie else untitled(movie_id)

    def _render_film(self, movie_id: int, rating: float) -> str:
        return film_text(self._title(movie_id), rating)


def untitled(movie_id: int) -> str:
    """The name of a film that the films file does not name."""
    return f"Movie {movie_id}"


def training_record(example: Example) -> str:
    """The training form, as one line of JSON."""
    return _encode(
        {
            "instruction": INSTRUCTION,
            "input": assemble_input(example.films, example.candidate),
            "output": example.answer,
            "system": SYSTEM,
            "history": [],
            "user_id": example.user_id,
            "movie_id": example.movie_id,
            "timestamp": example.timestamp,
        }
    )


def raw_record(example: Example) -> str:
    """The test form, as one line of JSON."""
    return _encode(
        {
            "user_id": example.user_id,
            "history_titles": example.titles,
            "history_ratings": example.ratings,
            "candidate_title": example.candidate,
            "movie_id": example.movie_id,
            "timestamp": example.timestamp,
            "label": example.answer,
        }
    )


def write_split(
    file: RecordFile, reader: ExampleReader, events: Integers, form: Callable[[Example], str], phase: Phase
) -> None:
    """Write the examples at `events` in order, in the form that `form` gives."""
    for block in reader.blocks(events):
        file.add([form(example) for example in block])
        phase.advance(len(block))
