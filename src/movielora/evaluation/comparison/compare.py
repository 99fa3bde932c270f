"""The recipe of `movielora compare`: score the same rows with every model, and measure every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from movielora.config.keys import InferenceConfig
from movielora.dataset.find import find_columns
from movielora.evaluation.baselines.row_facts import RowFacts, row_facts
from movielora.evaluation.comparison.columns import reserved_columns
from movielora.evaluation.comparison.external_only import compare_external
from movielora.evaluation.comparison.inputs import score_inputs, split_files, spread_rows
from movielora.evaluation.comparison.passes import Pass, join_passes, plan_passes, score_pass, stops_resumable
from movielora.evaluation.comparison.provenance import provenance
from movielora.evaluation.comparison.reopen import Listening, made_from, record_source, reopen
from movielora.evaluation.comparison.request import (
    AdapterAndBase,
    BasePrecision,
    CompareRequest,
    ExternalOnly,
    TwoRuns,
)
from movielora.evaluation.comparison.summary import Summary, summarise, write_summary
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.genres import read_genres
from movielora.evaluation.judged.fair_test import AskedRun, FairTest, examine_fairness, untrained
from movielora.evaluation.judged.sample import ChosenRows, choose_rows
from movielora.evaluation.saved.comparison_json import roles_of
from movielora.evaluation.saved.example_rows import first_rows
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.workplace import open_folder, settle
from movielora.examples.example_set import ExampleSet, Rows
from movielora.examples.load import ExampleLoader
from movielora.examples.shown_candidates import warn_of_shown_candidates
from movielora.machine.process_settings import settings_undone
from movielora.model.lora import base_of_adapter
from movielora.progress import Reporter
from movielora.prompt.spec import PromptSpec
from movielora.scoring.external import read_scores
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_change import log_odds, rows_for_change, score_change
from movielora.scoring.score_table import Roles, free_name
from movielora.scoring.scorer import ScorerSetup, spec_of


@settings_undone()
def compare(request: CompareRequest, reporter: Reporter) -> dict[str, Any]:
    """Score the rows, write the comparison folder, return what `--json` prints.

    Raises ConfigError, DataError, ModelError or OutputError, each in a sentence, before anything is written if that
    can be known.
    """
    heard = Listening(reporter)
    files = split_files(request, heard)
    folder = ComparisonFolder(request.folder)
    settle(folder)
    finished = reopen(request, files, heard)
    if finished is not None:
        return finished
    source = made_from(request, files)
    comparison = _score_and_measure(request, files, folder, heard)
    record_source(folder, source, comparison, heard.warnings)
    return comparison


def _score_and_measure(
    request: CompareRequest, files: SplitFiles, folder: ComparisonFolder, reporter: Reporter
) -> dict[str, Any]:
    kind = request.kind
    if isinstance(kind, ExternalOnly):
        return compare_external(kind, request, files, folder, ExampleLoader(reporter=reporter), reporter)
    passes, roles = plan_passes(kind)
    for each in passes:
        base_of_adapter(each.adapter)  # a missing adapter is reported before anything is loaded
    specs = [spec_of(kind.resolved, each.adapter, request.system_prompt) for each in passes]
    # Each adapter is shown what it was trained with; baselines see the candidate's films, and it is the last.
    opened = ExampleLoader(reporter=reporter, columns=find_columns(kind.resolved))
    loaders = [opened.showing(spec.history_len) for spec in specs]
    facts = row_facts(files, reporter, loaders[-1])
    rows, fair_test = _choose(request, kind, passes, specs, loaders, files, facts, reporter)
    if request.beside is not None:  # what does not fit the rows is reported before anything is scored
        read_scores(request.beside, facts.labels, rows.chosen.numbers)
    with reporter.phase("Loading tokenizer"):
        setup = _setup(request, kind, kind.base_precision)
        setups = [setup.with_spec(spec) for spec in specs]
    columns = [(each.adapter, [*each.columns]) for each in passes]
    inputs = score_inputs(
        request, kind, setups, columns, files, loaders[-1], rows.chosen, rows.on_eval, fair_test.eval_left_out
    )
    with (
        open_folder(folder, inputs, overwrite=request.overwrite, reporter=reporter) as working,
        stops_resumable(passes, working, len(rows.chosen.places)),
    ):
        for each, own, loader in zip(passes, setups, loaders, strict=True):
            score_pass(request, kind, own, each, working, *rows.open(files, loader), reporter, rows.chosen.places)
        join_passes(passes, working)
        more: dict[str, Any] = {"output_dir": str(folder.root)}
        if kind.base_precision is not None:
            examples, _ = rows.open(files, loaders[-1])
            more |= _precision_change(request, kind, roles.candidate, passes[-1], working, examples, reporter)
        summary = _measure(request, kind, roles, files, facts, rows, fair_test, working, reporter)
        made = provenance(files, passes[-1].adapter, kind.resolved)
        return write_summary(working, summary, made, specs[-1].to_json(), **more)


@dataclass(frozen=True)
class _Rows:
    """The rows judged, and the row numbers `on_eval` of the evaluation split that a temperature is fitted on."""

    chosen: ChosenRows
    on_eval: Rows

    def open(self, files: SplitFiles, loader: ExampleLoader) -> tuple[ExampleSet, ExampleSet | None]:
        test = self.chosen.of(loader.open(files.test))
        return test, loader.open(files.eval).select(self.on_eval) if files.eval and len(self.on_eval) else None


def _choose(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    passes: Sequence[Pass],
    specs: Sequence[PromptSpec],
    loaders: Sequence[ExampleLoader],
    files: SplitFiles,
    facts: RowFacts,
    reporter: Reporter,
) -> tuple[_Rows, FairTest]:
    """The rows, and whether they are a fair test. Raises DataError if they are none, and nobody insists."""
    loader = loaders[-1]
    chosen = choose_rows(loader.open(files.test), request.most_rows)
    shown = [chosen.of(each.open(files.test)) for each in loaders]
    warn_of_shown_candidates(shown[-1], reporter)
    runs = [
        AskedRun(each.judged, each.adapter, rows, spec) for each, rows, spec in zip(passes, shown, specs, strict=True)
    ]
    fair_test, trainings = examine_fairness(
        runs, kind.resolved.locate(kind.resolved.values.model_name_or_path), chosen, files, facts, loader, reporter,
        allow_overlap=request.allow_overlap, as_they_are=request.as_they_are,
        system_given=request.system_prompt is not None,
    )  # fmt: skip
    if not request.calibrate or not files.eval:
        return _Rows(chosen, np.empty(0, np.int64)), fair_test
    spread = spread_rows(len(loader.open(files.eval)), request.most_rows)
    on_eval = untrained(spread, files.eval, trainings, loader)
    return _Rows(chosen, on_eval), replace(fair_test, eval_left_out=len(spread) - len(on_eval))


def examples_to_show(request: CompareRequest, comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of different users of a finished comparison, as many as `inference.show_examples` says."""
    kind = request.kind
    inference = InferenceConfig() if isinstance(kind, ExternalOnly) else kind.resolved.values.inference
    folder = ComparisonFolder(Path(comparison["output_dir"]))
    return first_rows(folder.predictions, inference.show_examples, roles_of(comparison))


def _setup(
    request: CompareRequest, kind: AdapterAndBase | TwoRuns, base_precision: BasePrecision | None
) -> ScorerSetup:
    return ScorerSetup.of_config(
        kind.resolved,
        adapter=kind.adapter if isinstance(kind, AdapterAndBase) else kind.candidate,
        quantized=None if base_precision is None else base_precision == "4bit",
        system_prompt=request.system_prompt,
        batch_size=request.batch_size,
    )


def _measure(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    roles: Roles,
    files: SplitFiles,
    facts: RowFacts,
    rows: _Rows,
    fair_test: FairTest,
    folder: ComparisonFolder,
    reporter: Reporter,
) -> Summary:
    """Compute every figure from what was scored."""
    table = read_predictions(folder.predictions, sample=rows.chosen.is_sample)
    runs = (roles.reference, roles.candidate) if isinstance(kind, TwoRuns) else ()
    if request.beside is not None:
        name = free_name(request.beside.stem, reserved_columns() | table.columns.keys(), "file")
        table = table.with_columns({name: read_scores(request.beside, facts.labels, rows.chosen.numbers)})
    return summarise(
        table,
        facts,
        roles,
        on_eval=read_predictions(folder.eval_predictions) if folder.eval_predictions.is_file() else None,
        runs=runs,
        genres=read_genres(files),
        fair_test=fair_test,
        reporter=reporter,
    )


def _precision_change(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    column: str,
    last: Pass,
    folder: ComparisonFolder,
    examples: ExampleSet,
    reporter: Reporter,
) -> dict[str, Any]:
    """How far an adapter's scores on this base differ from those on the base in the other precision."""
    other: BasePrecision = "16bit" if kind.base_precision == "4bit" else "4bit"
    places = rows_for_change(len(examples))
    here = read_predictions(last.output(folder), sample=True)[column].log_odds[places]
    scorer = _setup(request, kind, other).load(last.adapter, reporter)
    there = log_odds(scorer, [examples[place] for place in places], reporter, f"Scoring on the {other} base")
    change = score_change(there, here)
    return {"base_precision": {"precision": kind.base_precision, "against": other, **change.to_json()}}
