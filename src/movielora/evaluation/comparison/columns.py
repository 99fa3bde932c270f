"""The columns of a comparison: scored models, runs, controls, external scores, baselines; and the best baseline."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from movielora.evaluation.baselines.catalogue import BY_KEY
from movielora.evaluation.baselines.row_facts import RowFacts
from movielora.evaluation.metrics.formulas import all_metrics
from movielora.evaluation.saved.comparison_json import Kind
from movielora.scoring.log_odds import Bools, Floats, Ints
from movielora.scoring.predict import CONTROLS
from movielora.scoring.score_table import ADAPTER, BASE, Scores, ScoreTable

_CONTROL_NAMES = {"history_shuffled": "History shuffled", "candidate_alone": "Candidate only"}


@dataclass(frozen=True)
class Column:
    """One column on the test rows and, if it was scored there too, on the evaluation split (arrays (rows,))."""

    kind: Kind
    name: str
    scores: Scores
    eval_log_odds: Floats | None = None
    eval_labels: Bools | None = None
    how: str = ""

    @property
    def answer_mass(self) -> Floats | None:
        """None if it was not measured for every row."""
        return self.scores.answer_mass if np.isfinite(self.scores.answer_mass).all() else None

    @property
    def in_sentence(self) -> str:
        """As it is called inside a sentence: `the adapter`, `the history's like-share`; a run by its name."""
        if self.kind in (BASE, ADAPTER):
            return f"the {self.name}"
        if self.kind == "baseline":
            name = self.name.removeprefix("The ")
            return f"the {name[:1].lower()}{name[1:]}"
        return self.name


def reserved_columns() -> frozenset[str]:
    """Names that a run or a file of scores cannot have as a column."""
    return frozenset({*CONTROLS, *BY_KEY})


def scored_columns(table: ScoreTable, on_eval: ScoreTable | None, runs: Collection[str]) -> dict[str, Column]:
    """The columns of `table` but baselines, which have more rows to be fitted on; `runs` are the keys that are runs."""

    def column(key: str, scores: Scores) -> Column:
        kind = _kind(key, runs)
        name = _CONTROL_NAMES.get(key, key)
        if on_eval is None or key not in on_eval.columns:
            return Column(kind, name, scores)
        return Column(kind, name, scores, on_eval[key].log_odds, on_eval.labels)

    return {key: column(key, scores) for key, scores in table.columns.items() if key not in BY_KEY}


def _kind(key: str, runs: Collection[str]) -> Kind:
    if key == BASE:
        return "base"
    if key == ADAPTER:
        return "adapter"
    if key in CONTROLS:
        return "control"
    return "run" if key in runs else "external"


def baseline_columns(facts: RowFacts, rows: Ints) -> dict[str, Column]:
    """Every fitted baseline on these rows of the test file, by its key."""
    unmeasured, answered = np.full(len(rows), np.nan), np.ones(len(rows), dtype=bool)
    return {
        key: Column(
            "baseline",
            BY_KEY[key].name,
            Scores(splits["test"][rows], unmeasured, answered),
            splits.get("eval"),
            facts.eval_labels if "eval" in splits else None,
            BY_KEY[key].how,
        )
        for key, splits in facts.fitted.log_odds.items()
    }


def best_baseline(baselines: dict[str, Column], labels: Bools) -> tuple[str | None, str | None]:
    """The baseline of highest AUC, and the split ("eval" or "test") it was chosen on.

    It is chosen on the evaluation split, so that the rows it is judged on have no say; on the test rows if there is
    no such split. Lowest log loss if AUC is undefined.
    """
    if not baselines:
        return None, None
    has_eval = all(column.eval_log_odds is not None for column in baselines.values())

    def quality(key: str) -> tuple[float, float]:
        column = baselines[key]
        scores, truth = column.scores.log_odds, labels
        if has_eval and column.eval_log_odds is not None and column.eval_labels is not None:
            scores, truth = column.eval_log_odds, column.eval_labels
        found = all_metrics(truth, scores)
        return (-1.0 if math.isnan(found["auc"]) else found["auc"]), -found["log_loss"]

    return max(baselines, key=quality), "eval" if has_eval else "test"


def strongest_baseline(facts: RowFacts) -> str | None:
    """The key of the baseline that a comparison judges by; None if none could be computed."""
    rows = np.arange(len(facts.labels))
    return best_baseline(baseline_columns(facts, rows), facts.labels)[0]
