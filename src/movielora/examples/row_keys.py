"""Which row is which, in 64 bits: by user, film and time if all are known, and by what the question shows.

The same row of two datasets, or of a dataset and a file of records, has the same keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet
from movielora.examples.importers.rendered_text import known_films
from movielora.examples.timeline_examples import TimelineExamples

Keys = NDArray[np.uint64]
_Bools = NDArray[np.bool_]

# Films of a history that a question is known by: its newest ones, so that longer histories have the same key. Two users
# who rated eight films alike, one after the other, and then the candidate, are taken for one.
FILMS = 8
# Films that a row is found by whose history was cut to fewer. Many users rate the same few films in a row: what is
# found so may be another row.
FEW_FILMS = 3
# 29 million rows are hashed in parts of this size, whose arrays are small.
_PART = 1 << 20
_NO_RATING = 0x9E37_79B9_7F4A_7C15
_LARGEST_TIME = float(1 << 62)


@dataclass(frozen=True)
class RowKeys:
    """(rows,) each. `event` is of user, film and time, where `has_event`; `question` of the candidate and the `films`
    newest of its history, at most FILMS, or of the text if `is_text`: no films could be read from it. `newest` is of
    the candidate and at most FEW_FILMS."""

    event: Keys
    has_event: _Bools
    question: Keys
    is_text: _Bools
    newest: Keys
    films: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event)

    def select(self, rows: NDArray[np.int64]) -> RowKeys:
        """The keys of `rows`, in that order."""
        return RowKeys(*(getattr(self, each.name)[rows] for each in fields(self)))


def row_keys(examples: ExampleSet) -> RowKeys:
    """The keys of `examples`, in their order. Raises DataError as the examples' importer does."""
    return _of_timelines(examples) if isinstance(examples, TimelineExamples) else _of_records(list(examples))


def _of_timelines(examples: TimelineExamples) -> RowKeys:
    timelines, films = examples.timelines, examples.films
    users, items = _hash_each(timelines.users.tolist()), _hash_each(films.ids.tolist())
    titles = np.array([_title_hash(title) for title in films.titles], dtype=np.uint64)
    event, question, newest = (np.empty(len(examples), np.uint64) for _ in range(3))
    shown = np.empty(len(examples), np.int64)
    for first in range(0, len(examples), _PART):
        part = slice(first, first + _PART)
        places = examples.events[part]
        times = timelines.timestamp[places].astype(np.uint64)
        event[part] = _joined(users[timelines.user_index(places)], items[timelines.item[places]], times)
        counts = examples.history_counts(np.arange(first, first + len(places)))

        def film(back: int, places: NDArray[np.int64] = places) -> tuple[Keys, Keys]:
            before = np.maximum(places - back, 0)  # a place before the first is not counted
            return titles[timelines.item[before]], timelines.rating[before].view(np.uint64)

        question[part], newest[part] = _questions(titles[timelines.item[places]], counts, film)
        shown[part] = np.minimum(counts, FILMS)
    every = np.ones(len(examples), dtype=bool)
    return RowKeys(event, every, question, ~every, newest, shown)


def _of_records(examples: list[Example]) -> RowKeys:
    count = len(examples)
    event, has_event = np.zeros(count, np.uint64), np.zeros(count, dtype=bool)
    candidates, is_text = np.zeros(count, np.uint64), np.zeros(count, dtype=bool)
    titles, ratings = np.zeros((FILMS, count), np.uint64), np.zeros((FILMS, count), np.uint64)
    counts = np.zeros(count, np.int64)
    for row, example in enumerate(examples):
        if example.user is not None and example.item is not None and _is_time(example.time):
            has_event[row] = True
            event[row] = _event(example)
        films, candidate = known_films(example)
        if candidate is None:
            is_text[row], candidates[row] = True, _text_hash(_own_words(example))
            continue
        candidates[row] = _title_hash(candidate)
        newest = films[::-1][:FILMS]
        counts[row] = len(newest)
        for back, film in enumerate(newest):
            titles[back, row] = _title_hash(film.title)
            ratings[back, row] = _NO_RATING if film.rating is None else np.float64(film.rating).view(np.uint64)
    question, few = _questions(candidates, counts, lambda back: (titles[back - 1], ratings[back - 1]))
    return RowKeys(event, has_event, question, is_text, few, counts)


def _questions(
    candidates: Keys, counts: NDArray[np.int64], film: Callable[[int], tuple[Keys, Keys]]
) -> tuple[Keys, Keys]:
    """Keys of the candidate and the FILMS, or only FEW_FILMS, newest films, (rows,) each; `film(n)` is the n-th newest
    of each row: its title, its rating."""
    few = found = _joined(candidates)
    for back in range(1, FILMS + 1):
        found = np.where(counts >= back, _joined(found, *film(back)), found)
        few = found if back <= FEW_FILMS else few
    return found, few


def _is_time(time: float | None) -> bool:
    return time is not None and math.isfinite(time) and abs(time) < _LARGEST_TIME


def _event(example: Example) -> np.uint64:
    """Seconds are whole in a prepared dataset: those of a record are cut."""
    time = np.array([math.floor(example.time or 0)], dtype=np.int64).astype(np.uint64)
    found: np.uint64 = _joined(_hash_each([example.user]), _hash_each([example.item]), time)[0]
    return found


def _own_words(example: Example) -> str:
    """All that a text asks, without regard to white space."""
    text = example.text
    if text is None:
        return ""
    turns = [part for turn in text.turns for part in turn]
    return " ".join(" ".join([*turns, text.instruction, text.input]).split())


def _hash_each(values: Iterable[object]) -> Keys:
    return np.array([_text_hash(str(value)) for value in values], dtype=np.uint64)


@lru_cache(maxsize=1 << 17)
def _title_hash(title: str) -> int:
    """Of the words of a title in any order: `Matrix, The (1999)` is `The Matrix (1999)`."""
    return _text_hash(" ".join(sorted(re.findall(r"\w+", title.casefold()))) or title)


def _text_hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _joined(*columns: Keys) -> Keys:
    """One key of several, which depends on their order: splitmix64 (Steele et al. 2014) after each."""
    found = np.full(len(columns[0]), 0x6D6F_7669, dtype=np.uint64)
    for column in columns:
        found = (found ^ column) + np.uint64(_NO_RATING)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        found ^= found >> np.uint64(31)
    return found
