"""Score the rows with the models: one pass for each adapter, into predictions.jsonl and predictions_eval.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from movielora.evaluation.comparison.columns import reserved_columns
from movielora.evaluation.comparison.request import AdapterAndBase, CompareRequest, TwoRuns
from movielora.evaluation.saved.folder import ComparisonFolder, write_lines
from movielora.examples.example_set import ExampleSet
from movielora.progress import Reporter
from movielora.scoring.log_odds import Ints
from movielora.scoring.predict import ADAPTER_OFF, ADAPTER_ON, CONTROLS, Condition, is_complete, predict
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_table import ADAPTER, BASE, Roles, free_name
from movielora.scoring.scorer import ScorerSetup


@dataclass(frozen=True)
class Pass:
    """One load of the base with an adapter: the columns it scores, by name, and the files it writes."""

    adapter: Path
    columns: Mapping[str, Condition]
    output: Path
    eval_output: Path

    @property
    def judged(self) -> str:
        """The column of the adapter itself."""
        return next(name for name, condition in self.columns.items() if condition is ADAPTER_ON)

    @property
    def eval_columns(self) -> dict[str, Condition]:
        """Controls are not scored on the evaluation split: nothing is fitted for them."""
        return {name: condition for name, condition in self.columns.items() if name not in CONTROLS}


def plan_passes(kind: AdapterAndBase | TwoRuns, folder: ComparisonFolder) -> tuple[list[Pass], Roles]:
    """The passes that a comparison needs, and the columns that play its roles."""
    if isinstance(kind, AdapterAndBase):
        columns = {BASE: ADAPTER_OFF, ADAPTER: ADAPTER_ON, **(CONTROLS if kind.controls else {})}
        return [Pass(kind.adapter, columns, folder.predictions, folder.eval_predictions)], Roles(BASE, ADAPTER)
    first, second = kind.names()
    first = free_name(first, reserved_columns(), "run")
    second = free_name(second, reserved_columns() | {first}, "run")
    passes = [
        Pass(run, {name: ADAPTER_ON}, folder.run_predictions(place), folder.run_eval_predictions(place))
        for run, name, place in ((kind.reference, first, "a"), (kind.candidate, second, "b"))
    ]
    return passes, Roles(first, second)


def score_pass(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    setup: ScorerSetup,
    each: Pass,
    examples: ExampleSet,
    on_eval: ExampleSet | None,
    reporter: Reporter,
    numbers: Ints,
) -> None:
    """Load the models of one pass, and score the test rows and the evaluation rows, as far as they are not scored.

    `numbers` (examples,) are the test rows' numbers in their file.

    Raises ModelError, DataError or OutputError.
    """
    if is_complete(each.output, len(examples)) and (on_eval is None or is_complete(each.eval_output, len(on_eval))):
        reporter.note(f"all {len(examples):,} rows were scored already")
        return
    scorer = setup.load(each.adapter, reporter)
    chunk = kind.resolved.values.inference.chunk_size
    result = predict(
        scorer, examples, each.output, each.columns,
        mode=request.mode, chunk_size=chunk, reporter=reporter, numbers=numbers,
    )  # fmt: skip
    if result.rows_before:
        reporter.note(f"{result.rows_before:,} rows were scored already")
    if result.rows_cut:
        reporter.warn(f"{result.rows_cut:,} rows lost history to `cutoff_len: {setup.prompts.cutoff_len}`")
    if on_eval is not None:
        predict(scorer, on_eval, each.eval_output, each.eval_columns, mode="score", chunk_size=chunk, reporter=reporter)


def join_passes(passes: Sequence[Pass], folder: ComparisonFolder) -> None:
    """Write the columns of two passes into one file each; one pass has written there itself."""
    if len(passes) < 2:
        return
    for parts, joined in (
        ([each.output for each in passes], folder.predictions),
        ([each.eval_output for each in passes], folder.eval_predictions),
    ):
        if all(part.exists() for part in parts):
            records = [read_predictions(part, sample=True).records for part in parts]
            write_lines(joined, [first | second for first, second in zip(*records, strict=True)])
