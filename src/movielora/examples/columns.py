"""What examples know, as columns: users, films, times and the ratings of their histories."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example_set import ExampleSet, Labels, offsets_of
from movielora.examples.importers.rendered_text import known_films
from movielora.examples.timeline_examples import TimelineExamples
from movielora.sources.titles import shown_title

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ExampleColumns:
    """One entry a row; ids are texts, None if unknown, times NaN if unknown. Candidates' titles are in natural order:
    a film has one name, whichever way a file writes it.

    The ratings of row i's history, oldest first, are `ratings[offsets[i]:offsets[i + 1]]`; a film without a rating is
    NaN there.
    """

    labels: Labels
    users: list[str | None]
    items: list[str | None]
    titles: list[str | None]
    times: Floats
    ratings: Floats
    offsets: NDArray[np.int64]

    @property
    def history_length(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)


def read_columns(examples: ExampleSet) -> ExampleColumns:
    """The columns of `examples`, a row each, in their order. Raises DataError as the examples' importer does."""
    if isinstance(examples, TimelineExamples):
        return _of_timelines(examples)
    found = list(examples)
    films = [known_films(example) for example in found]
    ratings = [[np.nan if film.rating is None else film.rating for film in history] for history, _ in films]
    return ExampleColumns(
        labels=examples.labels,
        users=[_text(example.user) for example in found],
        items=[_text(example.item) for example in found],
        titles=[None if candidate is None else shown_title(candidate, "natural") for _, candidate in films],
        times=np.array([np.nan if example.time is None else float(example.time) for example in found]),
        ratings=np.array(list(chain.from_iterable(ratings)), dtype=np.float64),
        offsets=offsets_of(np.array([len(one) for one in ratings], dtype=np.int64)),
    )


def user_numbers(examples: ExampleSet) -> NDArray[np.int64] | None:
    """A number for the user of each example, (examples,); a row without a user has one of its own. None if all have."""
    if isinstance(examples, TimelineExamples):
        return examples.timelines.user_index(examples.events).astype(np.int64)
    names = [example.user for example in examples]
    if all(name is None for name in names):
        return None
    known = {name: number for number, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    return np.array([len(known) + row if name is None else known[name] for row, name in enumerate(names)])


def _of_timelines(examples: TimelineExamples) -> ExampleColumns:
    timelines, films, events = examples.timelines, examples.films, examples.events
    offsets = offsets_of(examples.history_counts(np.arange(len(examples))))
    counts = np.diff(offsets)
    positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts) + np.repeat(events - counts, counts)
    items = timelines.item[events]
    titles = [shown_title(title, "natural") for title in films.titles]
    return ExampleColumns(
        labels=examples.labels,
        users=[str(user) for user in timelines.users[timelines.user_index(events)].tolist()],
        items=[str(item) for item in films.ids[items].tolist()],
        titles=[titles[item] for item in items.tolist()],
        times=timelines.timestamp[events].astype(np.float64),
        ratings=timelines.rating[positions],
        offsets=offsets,
    )


def _text(identifier: int | str | None) -> str | None:
    return None if identifier is None else str(identifier)
