"""Scores of several systems on the same rows, as named columns; and the roles that columns play in a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from movielora.scoring.log_odds import Bools, Floats, Ints, probability

BASE, ADAPTER = "base", "adapter"
# What a line of predictions.jsonl holds beside its columns; and what is shown beside them.
_FIELDS = ("row", "label", "bucket", "user_id", "movie_id", "timestamp", "candidate_title", "history_titles")
RESERVED_NAMES = frozenset({BASE, ADAPTER, *_FIELDS, "history_ratings", "instruction", "input", "roles"})


@dataclass(frozen=True)
class Scores:
    """One column. `answered` is False if generated text held no answer; `text_agrees` (None if nothing was
    generated) is True if the text says what the log-odds say."""

    log_odds: Floats  # (rows,)
    answer_mass: Floats  # (rows,), NaN if none was measured
    answered: Bools  # (rows,)
    text_agrees: Bools | None = None  # (rows,)

    @property
    def p_yes(self) -> Floats:
        """P(Yes), given that the answer is Yes or No; (rows,)."""
        return probability(self.log_odds)

    def said_yes(self, threshold: float = 0.0) -> Bools:
        """Where log-odds are above `threshold`; (rows,)."""
        return self.log_odds > threshold


@dataclass(frozen=True)
class ScoreTable:
    """Columns of scores by name, over the same rows in order of `row`.

    A name says what a column is ("base", "adapter", a run, a file of scores, a baseline), never which role it plays.
    `records` are what the rows asked, as a line of predictions.jsonl says it; `path` is the file they came from.
    """

    path: Path
    rows: Ints  # (rows,): numbers in the test file
    labels: Bools  # (rows,): the true answers
    columns: dict[str, Scores]
    records: list[dict[str, Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, column: str) -> Scores:
        return self.columns[column]

    def with_columns(self, columns: Mapping[str, Scores]) -> ScoreTable:
        """The table with more columns. Raises ValueError for a column of other rows, or a name that is taken."""
        for name, scores in columns.items():
            if name in self.columns or len(scores.log_odds) != len(self):
                raise ValueError(f"column {name} has {len(scores.log_odds)} rows, or its name is taken")
        return replace(self, columns={**self.columns, **columns})


@dataclass(frozen=True)
class Roles:
    """Which column is compared with (`reference`), and which is judged (`candidate`)."""

    reference: str = BASE
    candidate: str = ADAPTER

    @property
    def are_base_and_adapter(self) -> bool:
        return (self.reference, self.candidate) == (BASE, ADAPTER)

    def to_json(self) -> dict[str, str]:
        return {"reference": self.reference, "candidate": self.candidate}


def free_name(name: str, taken: Iterable[str], kind: str) -> str:
    """`name`, or `name (kind)`, or `name (kind 2)` …: the first that is neither reserved nor taken."""
    used = RESERVED_NAMES | set(taken)
    tried, number = name, 1
    while tried in used:
        tried = f"{name} ({kind})" if number == 1 else f"{name} ({kind} {number})"
        number += 1
    return tried
