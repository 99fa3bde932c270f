"""The recipe: what may make a comparison's rows no fair test of its runs, refused or recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.evaluation.baselines.row_facts import RowFacts
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.judged.other_words import OtherWords, find_other_words, refuse_other_words
from movielora.evaluation.judged.overlap import (
    Overlap,
    count_overlap,
    overlap_words,
    refuse_overlap,
    split_words,
    trained_by_any,
    unknown_words,
)
from movielora.evaluation.judged.run_training import RunTraining, training_of
from movielora.evaluation.judged.sample import ChosenRows
from movielora.examples.example_set import ExampleSet, Rows
from movielora.examples.load import ExampleLoader
from movielora.examples.row_keys import row_keys
from movielora.progress import Reporter
from movielora.prompt.spec import PromptSpec


@dataclass(frozen=True)
class AskedRun:
    """A run that is judged: its column, its adapter, and the rows as its prompt shows them."""

    column: str
    adapter: Path
    examples: ExampleSet
    spec: PromptSpec


@dataclass(frozen=True)
class FairTest:
    """What was found of the `chosen` rows, by column. `in_training` counts the rows that the training split beside them
    holds too, and `split` says so; `eval_left_out` rows of the evaluation split were trained on, and fit nothing."""

    chosen: ChosenRows
    overlaps: dict[str, Overlap]
    words: dict[str, OtherWords]
    in_training: int
    split: str
    eval_left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """What comparison.json holds in `data`."""
        training = {
            "runs": {column: found.to_json() for column, found in self.overlaps.items()},
            "other_words": {column: found.to_json() for column, found in self.words.items()},
            "in_training_split": self.in_training,
            "split": self.split if self.in_training else "",
            "eval_rows_left_out": self.eval_left_out,
        }
        return {"sample": self.chosen.to_json(), "training": training}

    def verdict_note(self) -> str:
        """What was insisted on, for the verdict; "" if nothing."""
        found = [overlap_words(overlap) for overlap in self.overlaps.values() if overlap.trained]
        found += [self.split] if self.in_training else []
        found += [words.sentence() for words in self.words.values()]
        return f" No fair test: {'; '.join(found)}." if found else ""


def examine_fairness(
    runs: Sequence[AskedRun],
    base: Path | None,
    chosen: ChosenRows,
    files: SplitFiles,
    facts: RowFacts,
    loader: ExampleLoader,
    reporter: Reporter,
    *,
    allow_overlap: bool = False,
    as_they_are: bool = False,
    system_given: bool = False,
) -> tuple[FairTest, list[RunTraining]]:
    """Count the rows that the runs or their base were trained on, and those asked in other words.

    Raises DataError for either, unless it is allowed.
    """
    trainings = [training_of(run.adapter, reporter) for run in runs]
    judged = row_keys(chosen.of(loader.showing(None).open(files.test)))
    overlaps: dict[str, Overlap] = {}
    words: dict[str, OtherWords] = {}
    for run, training in zip(runs, trainings, strict=True):
        overlaps[run.column] = count_overlap(judged, training, base, files)
        other = find_other_words(run.examples, run.spec, training, system_given=system_given)
        if other is not None:
            words[run.column] = other
    shared = 0 if facts.in_training is None else int(facts.in_training[chosen.places].sum())
    found = FairTest(chosen, overlaps, words, shared, split_words(shared, len(chosen.places), files))
    if not allow_overlap:
        refuse_overlap(list(overlaps.values()), files, shared, len(chosen.places))
    if not as_they_are:
        for other in words.values():
            refuse_other_words(other)
    for overlap in overlaps.values():
        if overlap.other_dataset:
            reporter.warn(overlap.other_dataset)
        if overlap.unknown:
            reporter.warn(unknown_words(overlap))
    return found, trainings


def untrained(places: Rows, path: Path, trainings: Sequence[RunTraining], loader: ExampleLoader) -> Rows:
    """Those `places` of the file `path` that none of the runs was trained on."""
    if all(training.rows is None for training in trainings):
        return places
    keys = row_keys(loader.showing(None).open(path).select(places))
    kept: Rows = places[~trained_by_any(keys, [training.rows for training in trainings])]
    return kept
