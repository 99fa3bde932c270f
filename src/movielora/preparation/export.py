"""The examples as JSON files for other tools, rendered block by block so that memory holds one block.

All text comes from `movielora.prompt.render` and `movielora.prompt.spec`. Of the 1,000 characters of a training record
only the films, the answer, two ids and the time change, so its JSON is made once as a pattern, and each film with its
rating is rendered and escaped once; JSON escapes character by character, so the pieces joined are the JSON of the
whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from movielora.dataset.films import Films
from movielora.dataset.meta import FileFacts
from movielora.dataset.names import split_file
from movielora.dataset.options import PrepareOptions
from movielora.dataset.splits import SPLITS, Splits
from movielora.dataset.timelines import Integers, Timelines
from movielora.preparation.record_file import RecordFile
from movielora.progress import Phase, Reporter
from movielora.prompt.render import assemble_input, film_text
from movielora.prompt.spec import INSTRUCTION, SYSTEM
from movielora.prompt.template import NO, YES
from movielora.sources.titles import shown_title

_BLOCK = 4096
# More than the pairs of film and rating that MovieLens 32M's usual films have; at 200 bytes each about 50 MB.
_KEPT_TEXTS = 1 << 18
# Stand for a text and a number while the pattern is made; private characters that neither our texts nor JSON hold.
_TEXT_MARK, _NUMBER_MARK = "\ue000", "\ue001"
_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def export_json(
    folder: Path,
    form: Literal["json", "jsonl"],
    timelines: Timelines,
    films: Films,
    splits: Splits,
    options: PrepareOptions,
    reporter: Reporter,
) -> dict[str, FileFacts]:
    """Write the examples of each split into `folder`, titles as the options say; the files by name. Raises OSError."""
    films = replace(films, titles=[shown_title(title, options.titles) for title in films.titles])
    writer = ExampleWriter(timelines, films, options.history_len, options.rating_threshold)
    written = {}
    total = sum(len(events) for events in splits.events.values())
    with reporter.phase("Writing examples", total, "examples") as phase:
        for split in SPLITS:
            name = split_file(split, form)
            with RecordFile(folder / name) as file:
                write = writer.write_raw if split == "test" else writer.write_training
                write(file, splits.events[split], phase)
            written[name] = FileFacts(file.size, file.sha256)
    return written


class ExampleWriter:
    """Renders examples from their positions in the timelines. `liked_from` is in stars."""

    def __init__(self, timelines: Timelines, films: Films, history_len: int, liked_from: float) -> None:
        self._timelines, self._films, self._liked_from = timelines, films, liked_from
        self._window = np.arange(-history_len, 0)
        self._pattern = _training_pattern(history_len)
        self._film = lru_cache(_KEPT_TEXTS)(self._escaped_film)
        self._candidate = lru_cache(_KEPT_TEXTS)(self._escaped_title)

    def write_training(self, file: RecordFile, events: Integers, phase: Phase) -> None:
        """Append the examples at `events`, in order, in the training form."""
        self._write(file, events, phase, self._training_lines)

    def write_raw(self, file: RecordFile, events: Integers, phase: Phase) -> None:
        """Append the examples at `events`, in order, in the test form."""
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
        rated = zip(timelines.item[distinct].tolist(), timelines.rating[distinct].tolist(), strict=True)
        films = np.array([self._film(item, rating) for item, rating in rated], dtype=object)
        pattern, candidate = self._pattern, self._candidate
        asked = zip(*self._asked(events), timelines.item[events].tolist(), strict=True)
        return [
            pattern % (*history, candidate(item), answer, _json_id(user), _json_id(movie), time)
            for history, (user, movie, time, answer, item) in zip(films[place].tolist(), asked, strict=True)
        ]

    def _raw_lines(self, events: Integers) -> list[str]:
        timelines, titles = self._timelines, self._films.titles
        distinct, place = self._shown(events)
        shown_titles = np.array([titles[item] for item in timelines.item[distinct].tolist()], dtype=object)
        rows = zip(
            shown_titles[place].tolist(),
            timelines.rating[distinct][place].tolist(),
            timelines.item[events].tolist(),
            *self._asked(events),
            strict=True,
        )
        return [
            _encode(
                {
                    "user_id": user,
                    "history_titles": shown,
                    "history_ratings": ratings,
                    "candidate_title": titles[item],
                    "movie_id": movie,
                    "timestamp": time,
                    "label": answer,
                }
            )
            for shown, ratings, item, user, movie, time, answer in rows
        ]

    def _shown(self, events: Integers) -> tuple[Integers, Integers]:
        """The positions shown in any history of `events`, and where in them each history's (events, history_len) is."""
        shown = events[:, None] + self._window
        distinct, place = np.unique(shown, return_inverse=True)
        return distinct, place.reshape(shown.shape)

    def _asked(self, events: Integers) -> tuple[list[Any], list[Any], list[int], list[str]]:
        """User id, film id, time and answer of each event, each as a list."""
        timelines = self._timelines
        answers = np.where(timelines.rating[events] >= self._liked_from, YES, NO)
        users = timelines.users[timelines.user_index(events)]
        films = self._films.ids[timelines.item[events]]
        return users.tolist(), films.tolist(), timelines.timestamp[events].tolist(), answers.tolist()

    def _escaped_title(self, item: int) -> str:
        return _encode(self._films.titles[item])[1:-1]

    def _escaped_film(self, item: int, rating: float) -> str:
        return _encode(film_text(self._films.titles[item], rating))[1:-1]


def _json_id(value: int | str) -> int | str:
    return _encode(value) if isinstance(value, str) else value


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
    """A training record's JSON with `%s` for each film, the candidate, the answer, user id, film id and time."""
    known = dict.fromkeys(("user_id", "movie_id", "timestamp"), _NUMBER_MARK)
    text = _encode(_training_record([_TEXT_MARK] * history_len, _TEXT_MARK, _TEXT_MARK, known))
    return text.replace("%", "%%").replace(f'"{_NUMBER_MARK}"', "%s").replace(_TEXT_MARK, "%s")
