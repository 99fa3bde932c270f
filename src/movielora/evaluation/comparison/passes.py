"""Score the rows with the models: one pass for each adapter, into predictions.jsonl and predictions_eval.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from movielora.errors import StoppedError
from movielora.evaluation.comparison.columns import reserved_columns
from movielora.evaluation.comparison.provenance import this_command
from movielora.evaluation.comparison.request import AdapterAndBase, CompareRequest, TwoRuns
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import grow_own, write_own_lines
from movielora.examples.example_set import ExampleSet
from movielora.machine.signals import terminate_as_interrupt
from movielora.progress import Reporter
from movielora.scoring.log_odds import Ints
from movielora.scoring.predict import ADAPTER_OFF, ADAPTER_ON, CONTROLS, Condition, is_complete, predict, rows_in
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_table import ADAPTER, BASE, Roles, free_name
from movielora.scoring.scorer import ScorerSetup


@dataclass(frozen=True)
class Pass:
    """One load of the base with an adapter: the columns it scores, by name. `place` is "a" or "b" if its scores are
    joined with another pass's."""

    adapter: Path
    columns: Mapping[str, Condition]
    place: str = ""

    def output(self, folder: ComparisonFolder) -> Path:
        return folder.run_predictions(self.place) if self.place else folder.predictions

    def eval_output(self, folder: ComparisonFolder) -> Path:
        return folder.run_eval_predictions(self.place) if self.place else folder.eval_predictions

    @property
    def judged(self) -> str:
        """The column of the adapter itself."""
        return next(name for name, condition in self.columns.items() if condition is ADAPTER_ON)

    @property
    def eval_columns(self) -> dict[str, Condition]:
        """Controls are not scored on the evaluation split: nothing is fitted for them."""
        return {name: condition for name, condition in self.columns.items() if name not in CONTROLS}


def plan_passes(kind: AdapterAndBase | TwoRuns) -> tuple[list[Pass], Roles]:
    """The passes that a comparison needs, and the columns that play its roles."""
    if isinstance(kind, AdapterAndBase):
        columns = {BASE: ADAPTER_OFF, ADAPTER: ADAPTER_ON, **(CONTROLS if kind.controls else {})}
        return [Pass(kind.adapter, columns)], Roles(BASE, ADAPTER)
    first, second = kind.names()
    first = free_name(first, reserved_columns(), "run")
    second = free_name(second, reserved_columns() | {first}, "run")
    passes = [
        Pass(run, {name: ADAPTER_ON}, place)
        for run, name, place in ((kind.reference, first, "a"), (kind.candidate, second, "b"))
    ]
    return passes, Roles(first, second)


def score_pass(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    setup: ScorerSetup,
    each: Pass,
    folder: ComparisonFolder,
    examples: ExampleSet,
    on_eval: ExampleSet | None,
    reporter: Reporter,
    numbers: Ints,
) -> None:
    """Load the models of one pass, and score the test rows and the evaluation rows, as far as they are not scored.

    `numbers` (examples,) are the test rows' numbers in their file.

    Raises ModelError, DataError or OutputError.
    """
    output, eval_output = each.output(folder), each.eval_output(folder)
    if is_complete(output, len(examples)) and (on_eval is None or is_complete(eval_output, len(on_eval))):
        reporter.note(f"all {len(examples):,} rows were scored already")
        return
    for growing in (output, *([eval_output] if on_eval is not None else [])):
        grow_own(folder, growing)
    scorer = setup.load(each.adapter, reporter)
    chunk = kind.resolved.values.inference.chunk_size
    result = predict(
        scorer, examples, output, each.columns,
        mode=request.mode, chunk_size=chunk, reporter=reporter, numbers=numbers,
    )  # fmt: skip
    if result.rows_before:
        reporter.note(f"{result.rows_before:,} rows were scored already")
    if result.rows_cut:
        reporter.warn(f"{result.rows_cut:,} rows lost history to `cutoff_len: {setup.prompts.cutoff_len}`")
    if on_eval is not None:
        predict(scorer, on_eval, eval_output, each.eval_columns, mode="score", chunk_size=chunk, reporter=reporter)


def join_passes(passes: Sequence[Pass], folder: ComparisonFolder) -> None:
    """Write the columns of two passes into one file each; one pass has written there itself."""
    if len(passes) < 2:
        return
    for parts, joined in (
        ([each.output(folder) for each in passes], folder.predictions),
        ([each.eval_output(folder) for each in passes], folder.eval_predictions),
    ):
        if all(part.exists() for part in parts):
            records = [read_predictions(part, sample=True).records for part in parts]
            write_own_lines(folder, joined, [first | second for first, second in zip(*records, strict=True)])


@contextmanager
def stops_resumable(passes: Sequence[Pass], folder: ComparisonFolder, rows: int) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into StoppedError, which says how many of the `rows` of each pass are in `folder`."""
    try:
        with terminate_as_interrupt():
            yield
    except KeyboardInterrupt:
        scored = sum(rows_in(each.output(folder)) for each in passes)
        raise StoppedError(
            f"{scored:,} of {rows * len(passes):,} rows scored; run again to continue", this_command()
        ) from None
