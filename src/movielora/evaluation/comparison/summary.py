"""Predictions and the reference become comparison.json: the recipe of everything `compare` says.

The shape:

    samples, base, adapter, buckets           what a script wants at a glance
    models      base, adapter, baselines by key, controls, others: every metric, its interval, the best threshold,
                the temperature
    difference  adapter_minus_base, adapter_minus_best_baseline, adapter_minus_controls: {metric: value, low, high}
    mcnemar, calibration, slices, data, verdict, verdict_detail

Figures are rounded to six digits, so that the same input gives the same bytes on any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from movielora.errors import DataError
from movielora.evaluation.baselines.baselines import BY_KEY
from movielora.evaluation.baselines.fitted import Reference
from movielora.evaluation.comparison.columns import (
    CONTROLS,
    MAIN_MODELS,
    Names,
    baseline_models,
    best_baseline,
    scored_models,
)
from movielora.evaluation.comparison.data_warnings import model_traps
from movielora.evaluation.comparison.figures import Model, difference_entry, model_entry
from movielora.evaluation.comparison.verdict import Difference, decide
from movielora.evaluation.metrics.bootstrap import Draws, Resampling, Scored, draw_metrics
from movielora.evaluation.metrics.calibration import reliability
from movielora.evaluation.metrics.formulas import ANSWER_METRICS, ECE_BINS, all_metrics
from movielora.evaluation.metrics.mcnemar import mcnemar_exact
from movielora.evaluation.metrics.slices import MIN_ROWS, Slicing, cut_rows, slice_figures
from movielora.progress import SILENT, Reporter
from movielora.scoring.log_odds import Bools, Floats, Ints
from movielora.scoring.predictions import Predictions, user_codes

_DIGITS = 6
_BASELINE = "baseline/"


@dataclass(frozen=True)
class Summary:
    """`comparison` is comparison.json without provenance; `rows` is rows.json."""

    comparison: dict[str, Any]
    rows: dict[str, Any]


@dataclass(frozen=True)
class _Measured:
    """Every model ("base", "baseline/like_rate", …): itself, its metrics, and the resampled metrics."""

    models: dict[str, Model]
    points: dict[str, dict[str, float]]
    draws: dict[str, Draws]

    def entry(self, key: str, labels: Bools) -> dict[str, Any]:
        return model_entry(self.models[key], labels, self.points[key], self.draws[key])

    def adapter_minus(self, key: str) -> dict[str, Any]:
        return difference_entry(self.points["adapter"], self.points[key], self.draws["adapter"], self.draws[key])


def summarise(
    predictions: Predictions,
    reference: Reference,
    *,
    eval_predictions: Predictions | None = None,
    genres: dict[str, tuple[str, ...]] | None = None,
    names: Names | None = None,
    reporter: Reporter = SILENT,
) -> Summary:
    """Every figure of a comparison.

    `predictions` holds "base", "adapter" and any controls; `genres` is by movie_id, as text. Raises DataError where
    the predictions are of other rows than the reference.
    """
    names = names or Names()
    require_same_rows(predictions, reference)
    labels = predictions.labels
    users, why_rows = user_codes(predictions.records)
    resampling = Resampling.over(users, len(labels))
    models = scored_models(predictions, eval_predictions, names)
    baselines = baseline_models(reference, predictions.rows)
    best, chosen_on = best_baseline(baselines, labels)
    measured = _measure({**models, **_prefixed(baselines)}, labels, users, resampling, reporter)
    with reporter.phase("Comparing slices"):
        ways = _ways(predictions, reference, genres or {})
        base, adapter = models["base"].scores.log_odds, models["adapter"].scores.log_odds
        slices, hidden = slice_figures(labels, base, adapter, ways, resampling)
    difference = _differences(measured, best, models)
    comparison = {
        "samples": len(labels),
        **{key: {metric: measured.points[key][metric] for metric in ANSWER_METRICS} for key in MAIN_MODELS},
        "buckets": count_buckets(labels, base, adapter),
        **_verdict(names, best, difference, len(labels), resampling),
        "models": _entries(measured, labels, models, baselines),
        "difference": difference,
        "mcnemar": mcnemar_exact((base > 0) == labels, (adapter > 0) == labels),
        "calibration": _calibration(measured.models, labels, best),
        "slices": slices,
        "data": {
            **_rows_section(labels, users, resampling, why_rows),
            **_reference_section(reference, best, chosen_on),
            "slices_hidden": hidden,
            "models": {key: model_traps(models[key].scores) for key in MAIN_MODELS},
        },
    }
    return Summary(rounded(comparison), rounded(_row_columns(ways, baselines, best)))


def require_same_rows(predictions: Predictions, reference: Reference) -> None:
    """Raises DataError where the predictions belong to another test file than the reference."""
    if len(predictions) > len(reference.labels):
        raise DataError(
            f"{predictions.path} has {len(predictions):,} rows, the test file {len(reference.labels):,}: "
            "the folder belongs to another dataset",
            "give the test file it was made from, or another --output-dir",
        )
    for row, record in zip(predictions.rows.tolist(), predictions.records, strict=True):
        expected, found = reference.candidates[row], record.get("candidate_title")
        same_film = expected is None or found is None or expected.split() == str(found).split()
        if not same_film or bool(reference.labels[row]) != bool(predictions.labels[row]):
            raise DataError(
                f"{predictions.path} row {row} is not row {row} of the test file (another film or answer): "
                "the folder belongs to another dataset",
                "give the test file it was made from, or another --output-dir",
            )


def count_buckets(labels: Bools, base: Floats, adapter: Floats) -> dict[str, int]:
    """Rows by who was right; arrays (rows,), scores in log-odds."""
    base_right, adapter_right = (base > 0) == labels, (adapter > 0) == labels
    return {
        "fixed": int((~base_right & adapter_right).sum()),
        "broken": int((base_right & ~adapter_right).sum()),
        "both_right": int((base_right & adapter_right).sum()),
        "both_wrong": int((~base_right & ~adapter_right).sum()),
    }


def _prefixed(baselines: dict[str, Model]) -> dict[str, Model]:
    return {f"{_BASELINE}{key}": model for key, model in baselines.items()}


def _measure(
    models: dict[str, Model], labels: Bools, users: Ints | None, resampling: Resampling, reporter: Reporter
) -> _Measured:
    with reporter.phase(f"Resampling {resampling.unit}"):
        draws = draw_metrics(
            labels, {key: Scored(model.scores.log_odds, model.answer_mass) for key, model in models.items()}, resampling
        )
    points = {
        key: all_metrics(labels, model.scores.log_odds, model.answer_mass, users) for key, model in models.items()
    }
    return _Measured(models, points, draws)


def _ways(predictions: Predictions, reference: Reference, genres: dict[str, tuple[str, ...]]) -> list[Slicing]:
    rows = predictions.rows
    columns = {name: column[rows] for name, column in reference.columns.items()}
    films = [reference.movie_ids[row] for row in rows]
    return cut_rows(
        columns, [reference.candidates[row] for row in rows], [genres.get(film or "", ()) for film in films]
    )


def _entries(
    measured: _Measured, labels: Bools, models: dict[str, Model], baselines: dict[str, Model]
) -> dict[str, Any]:
    return {
        **{key: measured.entry(key, labels) for key in MAIN_MODELS},
        "baselines": {key: {"how": BY_KEY[key].how, **measured.entry(_BASELINE + key, labels)} for key in baselines},
        "controls": {key: measured.entry(key, labels) for key in models if key in CONTROLS},
        "others": {key: measured.entry(key, labels) for key in _other_keys(models)},
    }


def _differences(measured: _Measured, best: str | None, models: dict[str, Model]) -> dict[str, Any]:
    return {
        "adapter_minus_base": measured.adapter_minus("base"),
        "adapter_minus_best_baseline": None if best is None else measured.adapter_minus(_BASELINE + best),
        "adapter_minus_controls": {key: measured.adapter_minus(key) for key in models if key in CONTROLS},
        "adapter_minus_others": {key: measured.adapter_minus(key) for key in _other_keys(models)},
    }


def _other_keys(models: dict[str, Model]) -> list[str]:
    return [key for key in models if key not in MAIN_MODELS and key not in CONTROLS]


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


def _reference_section(reference: Reference, best: str | None, chosen_on: str | None) -> dict[str, Any]:
    return {
        "best_baseline": best,
        "best_baseline_chosen_on": chosen_on,
        "baselines_left_out": reference.fitted.left_out,
        "slices_min_rows": MIN_ROWS,
        "slices_correction": "Holm over all slices shown",
        "rows_in_test_file": len(reference.labels),
        "splits": reference.data,
    }


def _calibration(models: dict[str, Model], labels: Bools, best: str | None) -> dict[str, Any]:
    on_eval = all(models[key].eval_log_odds is not None for key in MAIN_MODELS)
    drawn = {**{key: key for key in MAIN_MODELS}, **({best: _BASELINE + best} if best else {})}
    return {
        "fitted_on": "eval" if on_eval else None,
        "reason": None if on_eval else "the evaluation split was not scored, so no temperature or threshold is fitted",
        "ece_bins": ECE_BINS,
        "reliability": {name: reliability(labels, models[key].scores.log_odds) for name, key in drawn.items()},
    }


def _verdict(
    names: Names, best: str | None, difference: dict[str, Any], rows: int, resampling: Resampling
) -> dict[str, Any]:
    found = decide(
        adapter=names.adapter,
        base=names.base,
        baseline=BY_KEY[best].spoken if best else None,
        against_base=Difference.of_auc(rounded(difference["adapter_minus_base"])),
        against_baseline=Difference.of_auc(rounded(difference["adapter_minus_best_baseline"])) if best else None,
        rows=rows,
        units=resampling.units,
        unit=resampling.unit,
    )
    detail = {
        "outcome": found.outcome,
        "against_base": found.against_base,
        "against_best_baseline": found.against_baseline,
    }
    return {"verdict": found.sentence, "verdict_detail": detail}


def _row_columns(ways: list[Slicing], baselines: dict[str, Model], best: str | None) -> dict[str, Any]:
    return {
        "slices": [{"by": w.key, "title": w.title, "names": w.names, "members": w.members} for w in ways],
        "best_baseline": best,
        "baselines": {key: model.scores.log_odds.tolist() for key, model in baselines.items()},
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
