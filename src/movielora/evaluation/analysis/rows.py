"""A finished comparison, row by row: who was right, which rows a filter leaves, in which order.

The terminal's `analyze` and the page of `report` read the same `Analysis`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from movielora.errors import ConfigError, DataError
from movielora.evaluation.comparison.folder import ComparisonFolder, read_json_object
from movielora.evaluation.metrics.formulas import all_metrics
from movielora.examples.importers.rendered_text import parse_input
from movielora.scoring.log_odds import Floats, Ints, probability
from movielora.scoring.predictions import Predictions, read_label, read_predictions, user_codes

# In the order a reader should meet them.
BUCKETS = ("broken", "fixed", "both_wrong", "both_right")
SORTS = ("confidence", "disagreement", "row")
_AGAIN = "run movielora compare again"


@dataclass(frozen=True)
class Way:
    """One slicing of the rows, as rows.json holds it."""

    by: str
    title: str
    names: list[str]
    members: list[list[int]]


@dataclass(frozen=True)
class Question:
    """What one row asked. `text` is the input where no films could be read from it, cut to 300 characters."""

    user: str | None
    candidate: str | None
    titles: tuple[str, ...]
    ratings: tuple[float, ...] | None
    text: str | None


@dataclass(frozen=True)
class RowFilter:
    """All conditions must hold; None or empty asks nothing. `slices` are (by, name)."""

    bucket: str | None = None
    slices: tuple[tuple[str, str], ...] = ()
    search: str | None = None
    user: str | None = None


@dataclass(frozen=True)
class Analysis:
    folder: ComparisonFolder
    comparison: dict[str, Any]
    predictions: Predictions
    ways: list[Way]
    baselines: dict[str, Floats]  # by key, (rows,) log-odds
    best_baseline: str | None
    bucket: Ints  # (rows,): the place in BUCKETS

    def question(self, row: int) -> Question:
        return question_of(self.predictions.records[row])


def load_analysis(root: Path) -> Analysis:
    """Read a comparison folder. Raises DataError, in one sentence, where it is unfinished, torn or inconsistent."""
    folder = ComparisonFolder(root)
    folder.require_finished()
    comparison = read_json_object(folder.comparison, _AGAIN)
    predictions = read_predictions(folder.predictions)
    columns = read_json_object(folder.rows, _AGAIN)
    if comparison.get("samples") != len(predictions):
        raise DataError(
            f"{folder.predictions} has {len(predictions):,} rows, {folder.comparison} speaks of "
            f"{comparison.get('samples')}: they are of two comparisons",
            _AGAIN,
        )
    try:
        ways = [Way(way["by"], way["title"], way["names"], way["members"]) for way in columns["slices"]]
        baselines = {key: np.array(values, dtype=np.float64) for key, values in columns["baselines"].items()}
        best = columns["best_baseline"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder.rows} is not of this version of movielora: {error}", _AGAIN) from None
    lengths = {len(way.members) for way in ways} | {len(column) for column in baselines.values()}
    if lengths - {len(predictions)}:
        raise DataError(f"{folder.rows} has another number of rows than predictions.jsonl", _AGAIN)
    return Analysis(folder, comparison, predictions, ways, baselines, best, _buckets(predictions))


def select_rows(analysis: Analysis, wanted: RowFilter, sort: str = "confidence") -> Ints:
    """The rows that `wanted` leaves, sorted: broken first, then by `sort`.

    `confidence`: the adapter's surest answers first; `disagreement`: the widest gap between adapter and base first;
    `row`: the file's order, buckets mixed. Raises ConfigError for a bucket, slice or sort that does not exist.
    """
    keep = np.ones(len(analysis.predictions), dtype=bool)
    if wanted.bucket is not None:
        keep &= analysis.bucket == _place_of_bucket(wanted.bucket)
    for by, name in wanted.slices:
        keep &= _in_slice(analysis, by, name)
    if wanted.user is not None:
        keep &= np.array([str(record.get("user_id")) == wanted.user for record in analysis.predictions.records])
    if wanted.search:
        needle = wanted.search.casefold()
        keep &= np.array([needle in _searched(record) for record in analysis.predictions.records])
    return _sorted(analysis, np.flatnonzero(keep), sort)


def describe_selection(analysis: Analysis, rows: Ints) -> dict[str, Any]:
    """`{"matched", "buckets", "base", "adapter"}` of the selected rows."""
    counts = np.bincount(analysis.bucket[rows], minlength=len(BUCKETS))
    users, _ = user_codes([analysis.predictions.records[row] for row in rows]) if len(rows) else (None, "")
    labels = analysis.predictions.labels[rows]

    def metrics(model: str) -> dict[str, float]:
        scores = analysis.predictions.scores[model]
        return all_metrics(labels, scores.log_odds[rows], scores.answer_mass[rows], users)

    return {
        "matched": len(rows),
        "buckets": {name: int(count) for name, count in zip(BUCKETS, counts, strict=True)},
        "base": metrics("base"),
        "adapter": metrics("adapter"),
    }


def example(analysis: Analysis, row: int) -> dict[str, Any]:
    """One row for people and JSON: its number, its bucket, and what `described_row` says of it."""
    return {
        "row": int(analysis.predictions.rows[row]),
        "bucket": BUCKETS[analysis.bucket[row]],
        **described_row(analysis.predictions.records[row]),
    }


def first_rows(path: Path, most: int) -> list[dict[str, Any]]:
    """`described_row` of the first lines of a predictions.jsonl that this version wrote."""
    with path.open(encoding="utf-8") as lines:
        return [described_row(json.loads(line)) for line in islice(lines, most)]


def described_row(record: dict[str, Any]) -> dict[str, Any]:
    """Label, both answers with P(Yes), and the question by its form, of a line of predictions.jsonl.

    Where texts were generated, `prediction` is what was read from them: None where that is no answer.
    """
    asked = question_of(record)
    found: dict[str, Any] = {
        "label": "Yes" if read_label(record["label"], "label") else "No",
        **{model: _answer(record[model]) for model in ("base", "adapter")},
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


def _answer(score: dict[str, Any]) -> dict[str, Any]:
    log_odds = float(score["log_odds"])
    p_yes = float(probability(np.array(log_odds)))
    answer = {"log_odds": log_odds, "p_yes": p_yes, "prediction": "Yes" if log_odds > 0 else "No"}
    text = score.get("text")
    return answer if text is None else answer | {"text": text, "prediction": score.get("prediction")}


def question_of(record: dict[str, Any]) -> Question:
    user = None if record.get("user_id") is None else str(record["user_id"])
    titles, ratings = record.get("history_titles"), record.get("history_ratings")
    if isinstance(titles, list):
        stars = tuple(float(rating) for rating in ratings) if isinstance(ratings, list) else None
        return Question(user, record.get("candidate_title"), tuple(map(str, titles)), stars, None)
    text = str(record.get("input") or record.get("instruction") or "")
    parsed = parse_input(text)
    if parsed.candidate is None:
        return Question(user, None, (), None, text[:300])
    return Question(user, parsed.candidate, parsed.titles, parsed.ratings, None)


def parse_slice(analysis: Analysis, text: str) -> tuple[str, str]:
    """`genre=Drama` as (by, name), matched without regard to case. Raises ConfigError naming what there is."""
    by, separator, name = text.partition("=")
    ways = {way.by.casefold(): way for way in analysis.ways}
    way = ways.get(by.strip().casefold())
    if not separator or way is None:
        raise ConfigError(
            f"--slice {text!r} is no slice of this comparison", f"slices are {', '.join(sorted(ways)) or 'none'}"
        )
    names = {known.casefold(): known for known in way.names}
    found = names.get(name.strip().casefold())
    if found is None:
        raise ConfigError(f"--slice {way.by}={name} does not occur", f"there are: {', '.join(way.names)}")
    return way.by, found


def _buckets(predictions: Predictions) -> Ints:
    labels = predictions.labels
    base = predictions.scores["base"].said_yes() == labels
    adapter = predictions.scores["adapter"].said_yes() == labels
    places = {name: place for place, name in enumerate(BUCKETS)}
    wrong_now = np.where(base, places["broken"], places["both_wrong"])
    right_now = np.where(base, places["both_right"], places["fixed"])
    return np.where(adapter, right_now, wrong_now).astype(np.int64)


def _place_of_bucket(name: str) -> int:
    if name not in BUCKETS:
        raise ConfigError(f"there is no bucket {name!r}", f"buckets are {', '.join(BUCKETS)}")
    return BUCKETS.index(name)


def _in_slice(analysis: Analysis, by: str, name: str) -> Any:
    way = next(way for way in analysis.ways if way.by == by)
    place = way.names.index(name)
    return np.array([place in members for members in way.members], dtype=bool)


def _searched(record: dict[str, Any]) -> str:
    """Everything of a row that a text search looks into, without regard to case."""
    titles: Sequence[str] = record.get("history_titles") or ()
    parts = [record.get("candidate_title"), *titles, record.get("input"), record.get("user_id")]
    return "\n".join(str(part) for part in parts if part is not None).casefold()


def _sorted(analysis: Analysis, rows: Ints, sort: str) -> Ints:
    scores = analysis.predictions.scores
    base, adapter = scores["base"].log_odds[rows], scores["adapter"].log_odds[rows]
    if sort == "row":
        return rows
    if sort == "confidence":
        return rows[np.lexsort((rows, -np.abs(adapter), analysis.bucket[rows]))]
    if sort == "disagreement":
        return rows[np.lexsort((rows, -np.abs(adapter - base), analysis.bucket[rows]))]
    raise ConfigError(f"there is no order {sort!r}", f"orders are {', '.join(SORTS)}")
