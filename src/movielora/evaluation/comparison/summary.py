"""Compute every figure of a comparison: a score table and the facts about its rows become comparison.json.

Its shape is described in `saved/comparison_json.py`. Figures are rounded to six digits, so that the same input gives
the same bytes on any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from movielora.errors import DataError
from movielora.evaluation.baselines.row_facts import RowFacts
from movielora.evaluation.comparison.columns import Column, baseline_columns, best_baseline, scored_columns
from movielora.evaluation.comparison.figures import answer_warnings, column_entry, difference_entry
from movielora.evaluation.comparison.verdict import Difference, decide
from movielora.evaluation.judged.fair_test import FairTest
from movielora.evaluation.metrics.bootstrap import Draws, Resampling, Scored, draw_metrics
from movielora.evaluation.metrics.calibration import reliability
from movielora.evaluation.metrics.formulas import ANSWER_METRICS, ECE_BINS, all_metrics
from movielora.evaluation.metrics.mcnemar import mcnemar_exact
from movielora.evaluation.metrics.slices import MIN_SLICE_ROWS, Slicing, cut_rows, slice_figures
from movielora.evaluation.saved.comparison_json import GROUPS, Kind, with_former_names
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import write_own_json
from movielora.progress import SILENT, Reporter
from movielora.scoring.log_odds import Bools, Floats, Ints
from movielora.scoring.predictions import user_codes
from movielora.scoring.score_table import ADAPTER, BASE, Roles, ScoreTable
from movielora.sources.titles import shown_title

_DIGITS = 6


@dataclass(frozen=True)
class Summary:
    """`comparison` is comparison.json without provenance; `rows` is rows.json."""

    comparison: dict[str, Any]
    rows: dict[str, Any]


@dataclass(frozen=True)
class _Measured:
    """Every column by key: itself, its metrics, and the resampled metrics; and the roles."""

    columns: dict[str, Column]
    points: dict[str, dict[str, float]]
    draws: dict[str, Draws]
    roles: Roles
    labels: Bools

    @property
    def reference(self) -> Column:
        return self.columns[self.roles.reference]

    @property
    def candidate(self) -> Column:
        return self.columns[self.roles.candidate]

    def of(self, kind: Kind) -> list[str]:
        """The keys of the columns of one kind."""
        return [key for key, column in self.columns.items() if column.kind == kind]

    def entry(self, key: str) -> dict[str, Any]:
        column = self.columns[key]
        how = {"how": column.how} if column.how else {}
        return how | column_entry(column, self.labels, self.points[key], self.draws[key])

    def minus(self, key: str) -> dict[str, Any]:
        """The candidate minus column `key`."""
        own = self.roles.candidate
        return difference_entry(self.points[own], self.points[key], self.draws[own], self.draws[key])


def summarise(
    table: ScoreTable,
    facts: RowFacts,
    roles: Roles = Roles(),  # noqa: B008 - frozen
    *,
    on_eval: ScoreTable | None = None,
    runs: Collection[str] = (),
    genres: dict[str, tuple[str, ...]] | None = None,
    fair_test: FairTest | None = None,
    reporter: Reporter = SILENT,
) -> Summary:
    """Every figure of a comparison of the columns of `table` and the baselines of `facts`.

    `on_eval` holds columns on the evaluation split, `runs` the keys of runs, `genres` is by movie_id, as text, and
    `fair_test` says which rows these are. Raises DataError if the table is of other rows than the facts.
    """
    require_same_rows(table, facts)
    labels = table.labels
    users, why_rows = user_codes(table.records)
    resampling = Resampling.over(users, len(labels))
    baselines = baseline_columns(facts, table.rows)
    best, chosen_on = best_baseline(baselines, labels)
    columns = {**scored_columns(table, on_eval, runs), **baselines}
    measured = _measure(columns, roles, labels, users, resampling, reporter)
    reference, candidate = measured.reference.scores.log_odds, measured.candidate.scores.log_odds
    with reporter.phase("Comparing slices"):
        ways = _ways(table, facts, genres or {})
        slices, hidden = slice_figures(labels, reference, candidate, ways, resampling)
    difference = _differences(measured, best)
    comparison = {
        "samples": len(labels),
        "roles": roles.to_json(),
        **{key: _at_a_glance(measured.points[key]) for key in (BASE, ADAPTER) if key in columns},
        "buckets": count_buckets(labels, reference, candidate),
        **_verdict(measured, best, difference, resampling, fair_test.verdict_note() if fair_test else ""),
        "models": _entries(measured),
        "difference": difference,
        "mcnemar": mcnemar_exact((reference > 0) == labels, (candidate > 0) == labels),
        "calibration": _calibration(measured, best),
        "slices": slices,
        "data": {
            **_rows_section(labels, users, resampling, why_rows),
            **_facts_section(facts, best, chosen_on),
            **(fair_test.to_json() if fair_test else {}),
            "slices_hidden": hidden,
            "models": _warnings(measured),
        },
    }
    return Summary(with_former_names(rounded(comparison)), rounded(_row_columns(ways, baselines, best)))


def write_summary(
    folder: ComparisonFolder,
    summary: Summary,
    provenance: dict[str, Any],
    prompt: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Write rows.json, then comparison.json, which says that all is complete; returns the latter.

    `prompt` is the candidate's prompt spec as JSON; `more` is added, such as an `output_dir` that `folder` is to
    replace. Raises OutputError.
    """
    own = {"output_dir": str(folder.root), "provenance": provenance, "prompt": rounded(prompt)}
    comparison = summary.comparison | own | more
    write_own_json(folder, folder.rows, summary.rows)
    write_own_json(folder, folder.comparison, comparison)
    return comparison


def require_same_rows(table: ScoreTable, facts: RowFacts) -> None:
    """Raises DataError if the scores belong to another test file than the facts."""
    if len(table) > len(facts.labels):
        raise DataError(
            f"{table.path} has {len(table):,} rows, the test file {len(facts.labels):,}: "
            "the folder belongs to another dataset",
            "give the test file it was made from, or another --output-dir",
        )
    for place, (row, record) in enumerate(zip(table.rows.tolist(), table.records, strict=True)):
        expected, found = facts.candidates[row], record.get("candidate_title")
        same_film = expected is None or found is None or expected == shown_title(str(found), "natural")
        if not same_film or bool(facts.labels[row]) != bool(table.labels[place]):
            raise DataError(
                f"{table.path} row {row} is not row {row} of the test file (another film or answer): "
                "the folder belongs to another dataset",
                "give the test file it was made from, or another --output-dir",
            )


def count_buckets(labels: Bools, reference: Floats, candidate: Floats) -> dict[str, int]:
    """Rows by which of the two was right; arrays (rows,), scores in log-odds."""
    right_before, right_now = (reference > 0) == labels, (candidate > 0) == labels
    return {
        "fixed": int((~right_before & right_now).sum()),
        "broken": int((right_before & ~right_now).sum()),
        "both_right": int((right_before & right_now).sum()),
        "both_wrong": int((~right_before & ~right_now).sum()),
    }


def _measure(
    columns: dict[str, Column],
    roles: Roles,
    labels: Bools,
    users: Ints | None,
    resampling: Resampling,
    reporter: Reporter,
) -> _Measured:
    with reporter.phase(f"Resampling {resampling.unit}"):
        scored = {key: Scored(column.scores.log_odds, column.answer_mass) for key, column in columns.items()}
        draws = draw_metrics(labels, scored, resampling)
    points = {
        key: all_metrics(labels, column.scores.log_odds, column.answer_mass, users) for key, column in columns.items()
    }
    return _Measured(columns, points, draws, roles, labels)


def _at_a_glance(points: dict[str, float]) -> dict[str, float]:
    return {metric: points[metric] for metric in ANSWER_METRICS}


def _ways(table: ScoreTable, facts: RowFacts, genres: dict[str, tuple[str, ...]]) -> list[Slicing]:
    rows = table.rows
    columns = {name: column[rows] for name, column in facts.columns.items()}
    films = [facts.movie_ids[row] for row in rows]
    return cut_rows(columns, [facts.candidates[row] for row in rows], [genres.get(film or "", ()) for film in films])


def _entries(measured: _Measured) -> dict[str, Any]:
    return {
        **{key: measured.entry(key) for key in (BASE, ADAPTER) if key in measured.columns},
        **{group: {key: measured.entry(key) for key in measured.of(kind)} for kind, group in GROUPS.items()},
    }


def _differences(measured: _Measured, best: str | None) -> dict[str, Any]:
    others = [key for key in measured.of("external") if key != measured.roles.candidate]
    return {
        "candidate_minus_reference": measured.minus(measured.roles.reference),
        "candidate_minus_best_baseline": None if best is None else measured.minus(best),
        "candidate_minus_controls": {key: measured.minus(key) for key in measured.of("control")},
        "candidate_minus_others": {key: measured.minus(key) for key in others},
    }


def _warnings(measured: _Measured) -> dict[str, Any]:
    """Of the two columns that are compared; a baseline's scores are exact, and it always answers."""
    roles = (measured.roles.reference, measured.roles.candidate)
    columns = {key: measured.columns[key] for key in roles}
    return {key: answer_warnings(column.scores) for key, column in columns.items() if column.kind != "baseline"}


def _rows_section(labels: Bools, users: Ints | None, resampling: Resampling, why_rows: str) -> dict[str, Any]:
    return {
        "rows": len(labels),
        "users": None if users is None else resampling.units,
        "positive_rate": float(labels.mean()),
        "one_class": bool(labels.all() or not labels.any()),
        "resampled": resampling.unit,
        "resampled_because": why_rows or "rows of one user are not independent",
        "resamples": resampling.resamples,
        "seed": resampling.seed,
    }


def _facts_section(facts: RowFacts, best: str | None, chosen_on: str | None) -> dict[str, Any]:
    return {
        "best_baseline": best,
        "best_baseline_chosen_on": chosen_on,
        "baselines_left_out": facts.fitted.left_out,
        "slices_min_rows": MIN_SLICE_ROWS,
        "slices_correction": "Holm over all slices shown",
        "rows_in_test_file": len(facts.labels),
        "splits": facts.data,
    }


def _calibration(measured: _Measured, best: str | None) -> dict[str, Any]:
    on_eval = all(column.eval_log_odds is not None for column in (measured.reference, measured.candidate))
    drawn = dict.fromkeys((measured.roles.reference, measured.roles.candidate, *([best] if best else [])))
    return {
        "fitted_on": "eval" if on_eval else None,
        "reason": None if on_eval else "the evaluation split was not scored, so no temperature or threshold is fitted",
        "ece_bins": ECE_BINS,
        "reliability": {key: reliability(measured.labels, measured.columns[key].scores.log_odds) for key in drawn},
    }


def _verdict(
    measured: _Measured, best: str | None, difference: dict[str, Any], resampling: Resampling, note: str
) -> dict[str, Any]:
    against_best = difference["candidate_minus_best_baseline"]
    found = decide(
        candidate=measured.candidate.in_sentence,
        reference=measured.reference.in_sentence,
        baseline=measured.columns[best].in_sentence if best else None,
        against_reference=Difference.of_auc(rounded(difference["candidate_minus_reference"])),
        against_baseline=Difference.of_auc(rounded(against_best)) if best else None,
        rows=len(measured.labels),
        units=resampling.units,
        unit=resampling.unit,
    )
    detail = {
        "outcome": found.outcome,
        "against_reference": found.against_reference,
        "against_best_baseline": found.against_baseline,
    }
    return {"verdict": f"{found.sentence}{note}", "verdict_detail": detail}


def _row_columns(ways: list[Slicing], baselines: dict[str, Column], best: str | None) -> dict[str, Any]:
    return {
        "slices": [{"by": w.key, "title": w.title, "names": w.names, "members": w.members} for w in ways],
        "best_baseline": best,
        "baselines": {key: column.scores.log_odds.tolist() for key, column in baselines.items()},
    }


def rounded(value: Any) -> Any:
    """Floats to six digits, NaN and infinities to None, all the way down."""
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
