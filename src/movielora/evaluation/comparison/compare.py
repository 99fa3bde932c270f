"""The recipe of `movielora compare`: the same rows, asked of every contender, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from movielora.config import resolve_config
from movielora.config.keys import InferenceConfig
from movielora.errors import ConfigError, ModelError
from movielora.evaluation.analysis.genres import read_genres
from movielora.evaluation.analysis.rows import first_rows
from movielora.evaluation.baselines.baselines import BY_KEY
from movielora.evaluation.baselines.fitted import DatasetFiles, build_reference
from movielora.evaluation.comparison.columns import CONTROLS, MAIN_MODELS, Names, strongest_baseline
from movielora.evaluation.comparison.folder import ComparisonFolder, write_json, write_lines
from movielora.evaluation.comparison.inputs import (
    BasePrecision,
    CompareRequest,
    dataset_files,
    open_folder,
    read_eval_rows,
    read_rows,
)
from movielora.evaluation.comparison.provenance import provenance
from movielora.evaluation.comparison.scorer import Setting, load_pair, open_setting, score_inputs
from movielora.evaluation.comparison.summary import summarise
from movielora.examples.example import Record
from movielora.model.lora import base_of_adapter
from movielora.progress import Reporter
from movielora.prompt.template import NO, YES
from movielora.scoring.external import read_scores
from movielora.scoring.kernels import warn_of_other_kernels
from movielora.scoring.predict import described, is_complete, predict
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_change import log_odds, rows_for_change, score_change
from movielora.storage.hashing import file_sha256

__all__ = ["CompareRequest", "compare", "examples_to_show"]


@dataclass(frozen=True)
class _Pass:
    """One load of a base with an adapter: which columns it scores, into which files."""

    adapter: Path
    columns: tuple[str, ...]
    output: Path
    eval_output: Path


def compare(request: CompareRequest, reporter: Reporter) -> dict[str, Any]:
    """Score the rows, write the comparison folder, return what `--json` prints.

    Raises ConfigError, DataError, ModelError or OutputError, each in a sentence, before anything is written where
    that can be known.
    """
    request = _with_config(request)
    files = dataset_files(request, reporter)
    records = read_rows(files.test, request.most_rows)
    folder = ComparisonFolder(_output_dir(request))
    if request.resolved is None:
        return _compare_scores_alone(request, files, records, folder, reporter)
    passes = _passes(request, folder)
    eval_records = read_eval_rows(files.eval, request.most_rows) if request.calibrate and files.eval else []
    for each in passes:
        base_of_adapter(each.adapter)  # a missing adapter is said before anything is loaded
    with reporter.phase("Loading tokenizer"):
        setting = open_setting(request)
    inputs = score_inputs(
        request, setting, [each.adapter for each in passes], [each.columns for each in passes], files,
        rows=len(records), eval_rows=len(eval_records),
    )  # fmt: skip
    with open_folder(folder, inputs, overwrite=request.overwrite):
        for each in passes:
            _score(request, setting, each, records, eval_records, reporter)
        if len(request.runs) == 2:
            _join_runs(passes, folder)
        found = _conclude(request, files, folder, _names(request), passes[-1].adapter, reporter)
        if request.base_precision is None:
            return found
        return _with_precision_change(request, passes[-1], records, folder, found, reporter)


def examples_to_show(request: CompareRequest, comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """The first rows of a finished comparison, as many as `inference.show_examples` says."""
    resolved = _with_config(request).resolved
    inference = resolved.values.inference if resolved else InferenceConfig()
    return first_rows(ComparisonFolder(Path(comparison["output_dir"])).predictions, inference.show_examples)


def _with_precision_change(
    request: CompareRequest,
    last: _Pass,
    records: Sequence[Record],
    folder: ComparisonFolder,
    comparison: dict[str, Any],
    reporter: Reporter,
) -> dict[str, Any]:
    """The comparison, and how far the same adapter's scores lie from those on the base in the other precision."""
    other: BasePrecision = "16bit" if request.base_precision == "4bit" else "4bit"
    places = rows_for_change(records)
    scored = read_predictions(last.output, models=("adapter",)).scores["adapter"].log_odds[places]
    pair = load_pair(open_setting(replace(request, base_precision=other)), last.adapter, reporter)
    elsewhere = log_odds(pair, [records[place] for place in places], reporter, f"Scoring on the {other} base")
    change = score_change(elsewhere, scored)
    comparison |= {"base_precision": {"precision": request.base_precision, "against": other, **change.to_json()}}
    write_json(folder.comparison, comparison)
    return comparison


def _with_config(request: CompareRequest) -> CompareRequest:
    """Run folders bring their own config; of two, the second's, since it plays the adapter."""
    if len(request.runs) > 2 or (request.runs and request.adapter):
        raise ConfigError("compare takes one run, or two, and then no --adapter", "movielora compare RUN_A RUN_B")
    if not request.runs:
        return request
    resolved = request.resolved
    if resolved is None:
        config = request.runs[-1] / "config.yaml"
        if not config.is_file():
            raise ConfigError(f"{request.runs[-1]} holds no config.yaml", "name the training's: --config C")
        resolved = resolve_config(config)
    bases = {base_of_adapter(run) for run in request.runs}
    if len(bases) > 1:
        raise ModelError(
            f"{' and '.join(map(str, request.runs))} are adapters of different bases ({', '.join(sorted(bases))})",
            "compare each with its own base: movielora compare RUN",
        )
    return replace(request, resolved=resolved)


def _output_dir(request: CompareRequest) -> Path:
    if request.output_dir:
        return request.output_dir
    if request.resolved is None and request.predictions is not None:
        return request.predictions.with_name(f"{request.predictions.stem}-comparison")
    if len(request.runs) == 2:
        return request.runs[1] / f"comparison-with-{request.runs[0].resolve().name}"
    config = request.config.values
    named = config.inference.infer_output_dir
    if named and not request.runs:
        return Path(named)
    return (request.runs[0] if request.runs else Path(config.output_dir)) / "comparison"


def _passes(request: CompareRequest, folder: ComparisonFolder) -> list[_Pass]:
    if len(request.runs) == 2:
        return [
            _Pass(run, ("adapter",), folder.root / f"run_{name}.jsonl", folder.root / f"run_{name}_eval.jsonl")
            for run, name in zip(request.runs, "ab", strict=True)
        ]
    config = request.config
    adapter = request.adapter or config.locate(config.values.inference.adapter_dir or config.values.output_dir)
    controls = tuple(CONTROLS) if request.controls else ()
    own = request.runs[0] if request.runs else adapter
    return [_Pass(own, ("base", "adapter", *controls), folder.predictions, folder.eval_predictions)]


def _score(
    request: CompareRequest,
    setting: Setting,
    each: _Pass,
    records: Sequence[Record],
    eval_records: Sequence[Record],
    reporter: Reporter,
) -> None:
    """Load the models of one pass and score the test rows with all columns, the eval rows with the two that matter."""
    if is_complete(each.output, len(records)) and (
        not eval_records or is_complete(each.eval_output, len(eval_records))
    ):
        reporter.note(f"all {len(records):,} rows were scored already")
        return
    config = request.config.values
    warn_of_other_kernels(each.adapter, setting.placement, reporter)
    pair = load_pair(setting, each.adapter, reporter)
    chunk = config.inference.chunk_size
    result = predict(
        pair, records, each.output,
        mode=request.mode, chunk_size=chunk, total=len(records), reporter=reporter, columns=each.columns,
    )  # fmt: skip
    if result.rows_before:
        reporter.note(f"{result.rows_before:,} rows were scored already")
    if result.rows_cut:
        reporter.warn(f"{result.rows_cut:,} rows lost history to `cutoff_len: {config.cutoff_len}`")
    if eval_records:
        columns = tuple(name for name in each.columns if name not in CONTROLS)
        predict(
            pair, eval_records, each.eval_output,
            mode="score", chunk_size=chunk, total=len(eval_records), reporter=reporter, columns=columns,
        )  # fmt: skip


def _join_runs(passes: Sequence[_Pass], folder: ComparisonFolder) -> None:
    """The first run's adapter takes the base's place."""
    for first, second, joined in (
        (passes[0].output, passes[1].output, folder.predictions),
        (passes[0].eval_output, passes[1].eval_output, folder.eval_predictions),
    ):
        if first.exists() and second.exists():
            before, after = (read_predictions(path, models=("adapter",)).records for path in (first, second))
            write_lines(joined, [b | {"base": a["adapter"]} for a, b in zip(before, after, strict=True)])


def _compare_scores_alone(
    request: CompareRequest,
    files: DatasetFiles,
    records: Sequence[Record],
    folder: ComparisonFolder,
    reporter: Reporter,
) -> dict[str, Any]:
    """Scores made elsewhere and no model here: the strongest baseline takes the base's place."""
    if request.predictions is None:
        raise ConfigError("compare needs a config, run folders, or --predictions", "movielora compare --config C")
    reference = build_reference(files, reporter)
    scores = read_scores(request.predictions, reference.labels[: len(records)])
    best = strongest_baseline(reference)
    if best is None:
        raise ConfigError(
            "no baseline can be computed for these rows, so there is nothing to compare with",
            "put train.json beside the test file, or give --config",
        )
    inputs = {
        "test_file": file_sha256(files.test),
        "predictions": file_sha256(request.predictions),
        "rows": len(records),
    }
    base = reference.fitted.log_odds[best]["test"]
    rows = [
        {
            "row": row,
            "label": YES if record.label else NO,
            "base": _score_entry(float(base[row])),
            "adapter": _score_entry(float(scores.log_odds[row])),
            **described(record),
        }
        for row, record in enumerate(records)
    ]
    names = Names(base=BY_KEY[best].spoken, adapter=request.predictions.stem)
    with open_folder(folder, inputs, overwrite=request.overwrite):
        write_lines(folder.predictions, rows)
        return _conclude(replace(request, predictions=None), files, folder, names, None, reporter)


def _score_entry(log_odds: float) -> dict[str, Any]:
    return {"log_odds": log_odds, "answer_mass": None, "prediction": YES if log_odds > 0 else NO}


def _conclude(
    request: CompareRequest,
    files: DatasetFiles,
    folder: ComparisonFolder,
    names: Names,
    adapter: Path | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Summarise what was scored and write comparison.json and rows.json."""
    reference = build_reference(files, reporter)
    predictions = read_predictions(folder.predictions)
    if request.predictions is not None:
        scores = read_scores(request.predictions, predictions.labels)
        name = request.predictions.stem
        key = f"{name} (file)" if name in (*MAIN_MODELS, *CONTROLS) else name
        predictions = replace(predictions, scores=predictions.scores | {key: scores})
    summary = summarise(
        predictions,
        reference,
        eval_predictions=read_predictions(folder.eval_predictions) if folder.eval_predictions.is_file() else None,
        genres=read_genres(files),
        names=names,
        reporter=reporter,
    )
    comparison = summary.comparison | {
        "output_dir": str(folder.root),
        "provenance": provenance(files, adapter, request.resolved),
    }
    write_json(folder.rows, summary.rows)
    write_json(folder.comparison, comparison)
    return comparison


def _names(request: CompareRequest) -> Names:
    if len(request.runs) != 2:
        return Names()
    first, second = (run.resolve().name for run in request.runs)
    if first == second:
        first, second = (str(run) for run in request.runs)
    return Names(base=first, adapter=second)
