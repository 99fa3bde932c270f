"""Examples as lines of JSON: rendered block by block and written at once, so that memory holds one block.

All text comes from `movielora.prompt.template`. Of the 1,000 characters of a training record only the films, the answer
and three numbers change, so its JSON is made once as a pattern, and each film with its rating is rendered and escaped
once; JSON escapes character by character, so the pieces joined are the JSON of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from movielora.dataset.folder import RecordFile
from movielora.dataset.timelines import Integers, Timelines
from movielora.progress import Phase
from movielora.prompt.render import assemble_input, film_text
from movielora.prompt.spec import INSTRUCTION, SYSTEM
from movielora.prompt.template import NO, YES
from movielora.sources.movie_files import Movie

_BLOCK = 4096
# More than the pairs of film and rating that MovieLens 32M's usual films have; at 200 bytes each about 50 MB.
_KEPT_TEXTS = 1 << 18
# Stand for a text and a number while the pattern is made; private characters that neither our texts nor JSON hold.
_TEXT_MARK, _NUMBER_MARK = "\ue000", "\ue001"
_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class ExampleWriter:
    """Renders examples from their positions in the timelines.

    `movies` names the films; one that it does not name is `Movie 123`. `liked_from` is in stars.
    """

    def __init__(self, timelines: Timelines, movies: Mapping[int, Movie], history_len: int, liked_from: float) -> None:
        self._timelines, self._movies, self._liked_from = timelines, movies, liked_from
        self._window = np.arange(-history_len, 0)
        self._pattern = _training_pattern(history_len)
        self._film = lru_cache(_KEPT_TEXTS)(self._escaped_film)
        self._candidate = lru_cache(_KEPT_TEXTS)(self._escaped_title)

    def write_training(self, file: RecordFile, events: Integers, phase: Phase) -> None:
        """Append the examples at `events`, in order, in the training form."""
        self._write(file, events, phase, self._training_lines)

    def write_raw(self, file: RecordFile, events: Integers, phase: Phase) -> None:
        """The same in the test form."""
        self._write(file, events, phase, self._raw_lines)

    def _write(
        self, file: RecordFile, events: Integers, phase: Phase, lines_of: Callable[[Integers], list[str]]
    ) -> None:
        for start in range(0, len(events), _BLOCK):
            lines = lines_of(events[start : start + _BLOCK])
            file.add(lines)
            phase.advance(len(lines))

    def _training_lines(self, events: Integers) -> list[str]:
        timelines = self._timelines
        distinct, place = self._shown(events)
        rated = zip(timelines.movie_id[distinct].tolist(), timelines.rating[distinct].tolist(), strict=True)
        films = np.array([self._film(movie, rating) for movie, rating in rated], dtype=object)
        pattern, candidate = self._pattern, self._candidate
        return [
            pattern % (*history, candidate(movie), answer, user, movie, time)
            for history, (user, movie, time, answer) in zip(films[place].tolist(), self._asked(events), strict=True)
        ]

    def _raw_lines(self, events: Integers) -> list[str]:
        timelines = self._timelines
        distinct, place = self._shown(events)
        titles = np.array([self._title(movie) for movie in timelines.movie_id[distinct].tolist()], dtype=object)
        rows = zip(titles[place].tolist(), timelines.rating[distinct][place].tolist(), self._asked(events), strict=True)
        return [
            _encode(
                {
                    "user_id": user,
                    "history_titles": shown,
                    "history_ratings": ratings,
                    "candidate_title": self._title(movie),
                    "movie_id": movie,
                    "timestamp": time,
                    "label": answer,
                }
            )
            for shown, ratings, (user, movie, time, answer) in rows
        ]

    def _shown(self, events: Integers) -> tuple[Integers, Integers]:
        """The positions shown in any history of `events`, and where in them each history's (events, history_len) is."""
        shown = events[:, None] + self._window
        distinct, place = np.unique(shown, return_inverse=True)
        return distinct, place.reshape(shown.shape)

    def _asked(self, events: Integers) -> list[tuple[int, int, int, str]]:
        """User, film, time and answer of each event."""
        timelines = self._timelines
        answers = np.where(timelines.rating[events] >= self._liked_from, YES, NO)
        users = timelines.users[timelines.user_index(events)]
        columns = (users, timelines.movie_id[events], timelines.timestamp[events], answers)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _title(self, movie_id: int) -> str:
        movie = self._movies.get(movie_id)
        return movie.title if movie else untitled(movie_id)

    def _escaped_title(self, movie_id: int) -> str:
        return _encode(self._title(movie_id))[1:-1]

    def _escaped_film(self, movie_id: int, rating: float) -> str:
        return _encode(film_text(self._title(movie_id), rating))[1:-1]


def untitled(movie_id: int) -> str:
    """The name of a film that the films file does not name."""
    return f"Movie {movie_id}"


def _training_record(films: Sequence[str], candidate: str, answer: str, known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instruction": INSTRUCTION,
        "input": assemble_input(films, candidate),
        "output": answer,
        "system": SYSTEM,
        "history": [],
        **known,
    }


def _training_pattern(history_len: int) -> str:
    """A training record's JSON with `%s` for each film, the candidate and the answer, `%d` for user, film and time."""
    known = dict.fromkeys(("user_id", "movie_id", "timestamp"), _NUMBER_MARK)
    text = _encode(_training_record([_TEXT_MARK] * history_len, _TEXT_MARK, _TEXT_MARK, known))
    return text.replace("%", "%%").replace(f'"{_NUMBER_MARK}"', "%d").replace(_TEXT_MARK, "%s")
