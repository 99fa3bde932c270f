"""Count examples whose history shows the candidate itself: the user's earlier rating of it all but answers them.

So does a rating of another film of the same title: the prompt shows titles.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet
from movielora.examples.importers.rendered_text import known_films
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import Reporter
from movielora.sources.titles import shown_title


def warn_of_shown_candidates(examples: ExampleSet, reporter: Reporter) -> int:
    """How many of `examples` show their candidate in the history; warns if any does.

    Datasets that `prepare` makes have none but those of films that share a title: of a film that a user rated again it
    keeps the last rating.
    """
    found = count_shown_candidates(examples)
    if found:
        reporter.warn(
            f"{found:,} of {len(examples):,} examples of {examples.name} ({found / len(examples):.1%}) show the "
            "candidate itself in the history, or a film of the same title, which gives the answer away: prepare the "
            "ratings again, give these films different titles, or remove the examples"
        )
    return found


def count_shown_candidates(examples: ExampleSet) -> int:
    """How many of `examples` show their candidate in the history: its id, or its title in natural order."""
    if isinstance(examples, TimelineExamples):
        return _count_positions(examples)
    return sum(map(_shows_candidate, examples))


def _count_positions(examples: TimelineExamples) -> int:
    first: dict[str, int] = {}
    of_title = np.array([first.setdefault(_natural(title), n) for n, title in enumerate(examples.films.titles)])
    items, events = of_title[examples.timelines.item], examples.events
    lengths = examples.history_counts(np.arange(len(examples)))
    is_shown = np.zeros(len(events), dtype=bool)
    for back in range(1, int(lengths.max(initial=0)) + 1):
        rows = np.flatnonzero(lengths >= back)
        is_shown[rows] |= items[events[rows] - back] == items[events[rows]]
    return int(is_shown.sum())


def _shows_candidate(example: Example) -> bool:
    history, candidate = known_films(example)
    if candidate is None:
        return False
    title, item = _natural(candidate), example.item
    return any((item is not None and film.item == item) or _natural(film.title) == title for film in history)


@lru_cache(maxsize=1 << 17)
def _natural(title: str) -> str:
    return shown_title(title, "natural")
