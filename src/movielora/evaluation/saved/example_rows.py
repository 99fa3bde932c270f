"""One row of predictions.jsonl for people and for JSON: what was asked, the true answer, the answers given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.examples.importers.rendered_text import parse_films
from movielora.scoring.log_odds import probability
from movielora.scoring.predictions import read_label
from movielora.scoring.score_table import Roles

_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Question:
    """What one row asked. `text` is the input if no films could be read from it, cut to 300 characters."""

    user: str | None
    candidate: str | None
    titles: tuple[str, ...]
    ratings: tuple[float, ...] | None
    text: str | None


def question_of(record: dict[str, Any]) -> Question:
    """What a line of predictions.jsonl asked: the films that it names.

    A line of an earlier version names none if its example was text; they are read from that text then.
    """
    user = None if record.get("user_id") is None else str(record["user_id"])
    titles, ratings = record.get("history_titles"), record.get("history_ratings")
    if isinstance(titles, list):
        stars = tuple(float(rating) for rating in ratings) if isinstance(ratings, list) else None
        return Question(user, record.get("candidate_title"), tuple(map(str, titles)), stars, None)
    text = str(record.get("input") or record.get("instruction") or "")
    films, candidate = parse_films(text)
    if candidate is None:
        return Question(user, None, (), None, text[:_MOST_CHARACTERS])
    ratings = tuple(film.rating for film in films if film.rating is not None)
    rated = bool(films) and len(ratings) == len(films)
    return Question(user, candidate, tuple(film.title for film in films), ratings if rated else None, None)


def first_rows(path: Path, most: int, roles: Roles) -> list[dict[str, Any]]:
    """`described_row` of the first lines of a predictions.jsonl that this version wrote, one of each user."""
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    places = of_different_users([record.get("user_id") for record in records], most)
    return [described_row(records[place], roles) for place in sorted(places)]


def of_different_users(users: Sequence[Any], most: int) -> list[int]:
    """`most` places in `users`: the first of each user, then the second of each, and so on; unknown users (None) are
    one each."""
    seen: dict[str, int] = {}
    turns = []
    for user in users:
        turn = 0 if user is None else seen.get(str(user), 0)
        turns.append(turn)
        seen[str(user)] = turn + 1
    return sorted(range(len(turns)), key=turns.__getitem__)[:most]


def described_row(record: dict[str, Any], roles: Roles) -> dict[str, Any]:
    """Label, the answers of both roles' columns by name, and the question, of a line of predictions.jsonl.

    If texts were generated, `prediction` is what was read from them: None if that is no answer.
    """
    asked = question_of(record)
    found: dict[str, Any] = {
        "label": "Yes" if read_label(record["label"], "label") else "No",
        **{column: _answer(record[column]) for column in _both(roles)},
    }
    if asked.user is not None:
        found["user_id"] = record["user_id"]
    if asked.text is not None:
        return found | {"input": asked.text}
    return found | {
        "candidate_title": asked.candidate,
        "history_titles": list(asked.titles),
        "history_ratings": None if asked.ratings is None else list(asked.ratings),
    }


def _both(roles: Roles) -> Sequence[str]:
    return roles.reference, roles.candidate


def _answer(score: dict[str, Any]) -> dict[str, Any]:
    log_odds = float(score["log_odds"])
    p_yes = float(probability(np.array(log_odds)))
    answer = {"log_odds": log_odds, "p_yes": p_yes, "prediction": "Yes" if log_odds > 0 else "No"}
    text = score.get("text")
    return answer if text is None else answer | {"text": text, "prediction": score.get("prediction")}
