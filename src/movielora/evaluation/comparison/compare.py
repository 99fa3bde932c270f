"""The recipe of `movielora compare`: score the same rows with every model, and measure every column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from movielora.config.keys import InferenceConfig
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.columns import reserved_columns
from movielora.evaluation.comparison.external_only import compare_external
from movielora.evaluation.comparison.inputs import open_folder, read_eval_rows, read_rows, score_inputs, split_files
from movielora.evaluation.comparison.passes import Pass, join_passes, plan_passes, score_pass
from movielora.evaluation.comparison.provenance import provenance
from movielora.evaluation.comparison.request import (
    AdapterAndBase,
    BasePrecision,
    CompareRequest,
    ExternalOnly,
    TwoRuns,
)
from movielora.evaluation.comparison.summary import summarise, write_summary
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.genres import read_genres
from movielora.evaluation.saved.comparison_json import roles_of
from movielora.evaluation.saved.example_rows import first_rows
from movielora.evaluation.saved.folder import ComparisonFolder, write_json
from movielora.examples.records import Record
from movielora.model.lora import base_of_adapter
from movielora.progress import Reporter
from movielora.scoring.external import read_scores
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_change import log_odds, rows_for_change, score_change
from movielora.scoring.score_table import Roles, free_name
from movielora.scoring.scorer import ScorerSetup


def compare(request: CompareRequest, reporter: Reporter) -> dict[str, Any]:
    """Score the rows, write the comparison folder, return what `--json` prints.

    Raises ConfigError, DataError, ModelError or OutputError, each in a sentence, before anything is written if that
    can be known.
    """
    files = split_files(request, reporter)
    records = read_rows(files.test, request.most_rows)
    folder = ComparisonFolder(request.folder)
    kind = request.kind
    if isinstance(kind, ExternalOnly):
        return compare_external(kind, files, records, folder, overwrite=request.overwrite, reporter=reporter)
    passes, roles = plan_passes(kind, folder)
    eval_records = read_eval_rows(files.eval, request.most_rows) if request.calibrate and files.eval else []
    for each in passes:
        base_of_adapter(each.adapter)  # a missing adapter is reported before anything is loaded
    with reporter.phase("Loading tokenizer"):
        setup = _setup(request, kind, kind.base_precision)
    columns = [(each.adapter, [*each.columns]) for each in passes]
    inputs = score_inputs(request, kind, setup, columns, files, rows=len(records), eval_rows=len(eval_records))
    with open_folder(folder, inputs, overwrite=request.overwrite):
        for each in passes:
            score_pass(request, kind, setup, each, records, eval_records, reporter)
        join_passes(passes, folder)
        comparison = _measure(request, kind, roles, files, folder, passes[-1].adapter, reporter)
        if kind.base_precision is not None:
            comparison |= _precision_change(request, kind, roles.candidate, passes[-1], records, reporter)
            write_json(folder.comparison, comparison)
        return comparison


def examples_to_show(request: CompareRequest, comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """The first rows of a finished comparison, as many as `inference.show_examples` says."""
    kind = request.kind
    inference = InferenceConfig() if isinstance(kind, ExternalOnly) else kind.resolved.values.inference
    folder = ComparisonFolder(Path(comparison["output_dir"]))
    return first_rows(folder.predictions, inference.show_examples, roles_of(comparison))


def _setup(
    request: CompareRequest, kind: AdapterAndBase | TwoRuns, base_precision: BasePrecision | None
) -> ScorerSetup:
    return ScorerSetup.of_config(
        kind.resolved,
        quantized=None if base_precision is None else base_precision == "4bit",
        system_prompt=request.system_prompt,
        batch_size=request.batch_size,
    )


def _measure(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    roles: Roles,
    files: SplitFiles,
    folder: ComparisonFolder,
    adapter: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    """Compute every figure from what was scored, and write comparison.json and rows.json."""
    facts = row_facts(files, reporter)
    table = read_predictions(folder.predictions)
    runs = (roles.reference, roles.candidate) if isinstance(kind, TwoRuns) else ()
    if request.beside is not None:
        name = free_name(request.beside.stem, reserved_columns() | table.columns.keys(), "file")
        table = table.with_columns({name: read_scores(request.beside, table.labels)})
    summary = summarise(
        table,
        facts,
        roles,
        on_eval=read_predictions(folder.eval_predictions) if folder.eval_predictions.is_file() else None,
        runs=runs,
        genres=read_genres(files),
        reporter=reporter,
    )
    return write_summary(folder, summary, provenance(files, adapter, kind.resolved))


def _precision_change(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    column: str,
    last: Pass,
    records: Sequence[Record],
    reporter: Reporter,
) -> dict[str, Any]:
    """How far an adapter's scores on this base differ from those on the base in the other precision."""
    other: BasePrecision = "16bit" if kind.base_precision == "4bit" else "4bit"
    places = rows_for_change(records)
    here = read_predictions(last.output)[column].log_odds[places]
    scorer = _setup(request, kind, other).load(last.adapter, reporter)
    there = log_odds(scorer, [records[place] for place in places], reporter, f"Scoring on the {other} base")
    change = score_change(there, here)
    return {"base_precision": {"precision": kind.base_precision, "against": other, **change.to_json()}}
