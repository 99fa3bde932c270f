"""The test form: `{"user_id", "history_titles", "candidate_title", "label"}`, optionally with `history_ratings`.

The films are structure, so the prompt is rendered from the run's own spec. The record may carry `movie_id`,
`timestamp`, and a `system` and an `instruction` of its own.
"""

from __future__ import annotations

from typing import Any

from movielora.errors import DataError
from movielora.examples.example import Example, Film
from movielora.examples.importers.fields import (
    is_number,
    read_answer,
    read_identifier,
    read_optional_text,
    read_text,
    read_timestamp,
    without_lone_surrogates,
)
from movielora.examples.importers.form import Form


def is_title_list(raw: dict[str, Any]) -> bool:
    """Whether a JSON object is of this form: it has `history_titles` and `candidate_title`."""
    return "history_titles" in raw and "candidate_title" in raw


def read_title_list(raw: dict[str, Any], place: str) -> Example:
    """The example of a record, its films as structure. Raises DataError naming `place` and the field that is wrong."""
    label, user = read_answer(raw, place), read_identifier(raw, "user_id", place)
    item, time = read_identifier(raw, "movie_id", place), read_timestamp(raw, "timestamp", place)
    titles = raw["history_titles"]
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise DataError(f"{place}: `history_titles` must be a list of texts")
    titles = [without_lone_surrogates(title) for title in titles]
    ratings = _ratings(raw, len(titles), place)
    return Example(
        history=tuple(Film(title, rating) for title, rating in zip(titles, ratings, strict=True)),
        candidate=read_text(raw, "candidate_title", place),
        label=label,
        place=place,
        user=user,
        item=item,
        time=time,
        system=read_optional_text(raw, "system", place),
        instruction=read_optional_text(raw, "instruction", place),
    )


def _ratings(raw: dict[str, Any], titles: int, place: str) -> list[float] | list[None]:
    """One a title; None for each if the record brings no ratings."""
    ratings = raw.get("history_ratings")
    if ratings is None:
        return [None] * titles
    if not isinstance(ratings, list) or not all(is_number(rating) for rating in ratings):
        raise DataError(f"{place}: `history_ratings` must be a list of numbers")
    if len(ratings) != titles:
        raise DataError(
            f"{place}: `history_ratings` has {len(ratings)} entries, `history_titles` {titles}",
            "give one rating a title",
        )
    return [float(rating) for rating in ratings]


FORM = Form(
    "a record of titles has `history_titles`, `candidate_title` and `label` (with `history_ratings`)",
    is_title_list,
    read_title_list,
)
