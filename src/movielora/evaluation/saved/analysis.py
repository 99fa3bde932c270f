"""Read a finished comparison with its rows: who was right, and which slices a row is in.

The terminal's `analyze` and the page of `report` read the same `Analysis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.errors import DataError
from movielora.evaluation.saved.comparison_json import read_comparison, roles_of
from movielora.evaluation.saved.example_rows import Question, described_row, question_of
from movielora.evaluation.saved.folder import ComparisonFolder, read_json_object
from movielora.evaluation.saved.former import former_adapter
from movielora.evaluation.saved.workplace import settle
from movielora.scoring.log_odds import Floats, Ints
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_table import Roles, Scores, ScoreTable

# In the order a reader should meet them.
BUCKETS = ("broken", "fixed", "both_wrong", "both_right")
_AGAIN = "run movielora compare again"


@dataclass(frozen=True)
class Way:
    """One slicing of the rows, as rows.json holds it."""

    by: str
    title: str
    names: list[str]
    members: list[list[int]]


@dataclass(frozen=True)
class Analysis:
    """`table` holds the columns of predictions.jsonl; `former` is a sentence if an adapter was trained again since."""

    folder: ComparisonFolder
    comparison: dict[str, Any]
    table: ScoreTable
    roles: Roles
    ways: list[Way]
    baselines: dict[str, Floats]  # by key, (rows,) log-odds
    best_baseline: str | None
    bucket: Ints  # (rows,): the place in BUCKETS
    former: str

    @property
    def reference(self) -> Scores:
        return self.table[self.roles.reference]

    @property
    def candidate(self) -> Scores:
        return self.table[self.roles.candidate]

    def question(self, row: int) -> Question:
        return question_of(self.table.records[row])

    def example(self, row: int) -> dict[str, Any]:
        """One row for people and JSON: its number, its bucket, and `described_row`."""
        return {
            "row": int(self.table.rows[row]),
            "bucket": BUCKETS[self.bucket[row]],
            **described_row(self.table.records[row], self.roles),
        }


def load_analysis(root: Path) -> Analysis:
    """Read a comparison folder. Raises DataError, in one sentence, if it is unfinished, torn or inconsistent."""
    folder = ComparisonFolder(root)
    settle(folder)
    folder.require_finished()
    comparison = read_comparison(folder)
    table = read_predictions(folder.predictions, sample=bool(comparison["data"].get("sample")))
    columns = read_json_object(folder.rows, _AGAIN)
    roles = roles_of(comparison)
    if comparison.get("samples") != len(table):
        raise DataError(
            f"{folder.predictions} has {len(table):,} rows, {folder.comparison} is of "
            f"{comparison.get('samples')}: they are of two comparisons",
            _AGAIN,
        )
    missing = [name for name in (roles.reference, roles.candidate) if name not in table.columns]
    if missing:
        raise DataError(f"{folder.predictions} has no scores of {' and '.join(missing)}", _AGAIN)
    try:
        ways = [Way(way["by"], way["title"], way["names"], way["members"]) for way in columns["slices"]]
        baselines = {key: np.array(values, dtype=np.float64) for key, values in columns["baselines"].items()}
        best = columns["best_baseline"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder.rows} is not of this version of movielora: {error}", _AGAIN) from None
    lengths = {len(way.members) for way in ways} | {len(column) for column in baselines.values()}
    if lengths - {len(table)}:
        raise DataError(f"{folder.rows} has another number of rows than predictions.jsonl", _AGAIN)
    buckets, former = _buckets(table, roles), former_adapter(folder, comparison)
    return Analysis(folder, comparison, table, roles, ways, baselines, best, buckets, former)


def _buckets(table: ScoreTable, roles: Roles) -> Ints:
    before = table[roles.reference].said_yes() == table.labels
    now = table[roles.candidate].said_yes() == table.labels
    places = {name: place for place, name in enumerate(BUCKETS)}
    wrong_now = np.where(before, places["broken"], places["both_wrong"])
    right_now = np.where(before, places["both_right"], places["fixed"])
    return np.where(now, right_now, wrong_now).astype(np.int64)
