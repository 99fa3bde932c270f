"""Count the judged rows that a run was trained on, or chosen by: figures on them say nothing about new rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.dataset.find import prepared_split
from movielora.dataset.meta import read_meta
from movielora.errors import DataError
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.judged.run_training import RunTraining
from movielora.examples.row_keys import RowKeys
from movielora.examples.trained_rows import TrainedRows
from movielora.scoring.log_odds import Bools

_INSIST = "judge other rows with --test-file FILE, or insist with --allow-overlap: the result then says so"


@dataclass(frozen=True)
class Overlap:
    """Of the `rows` that a run is judged on: how many it was `trained` on, how many its best checkpoint was `chosen`
    by, and for how many that is `unknown`, and why. `trained_by` names the run, or the merged base that it was trained
    on if all of them are that one's. `other_dataset` is a sentence if the rows are not of the dataset of the run."""

    run: str
    rows: int
    trained: int
    trained_by: str
    chosen: int
    unknown: int
    why_unknown: str
    other_dataset: str

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def count_overlap(judged: RowKeys, training: RunTraining, base: Path | None, files: SplitFiles) -> Overlap:
    """Compare the judged rows with those of a training, and with those that its base was trained on before.

    Raises DataError if the record of either is damaged.
    """
    rows, why = training.rows, training.why_unknown
    before = TrainedRows.read(base) if base is not None else None
    trained, unknown = np.zeros(len(judged), dtype=bool), np.ones(len(judged), dtype=bool)
    chosen = trained
    if rows is not None:
        (trained, unknown), (chosen, _) = rows.holds(judged), rows.holds(judged, "eval")
        why = (
            "these rows and the training's cannot be compared, because films are named in another form, histories are "
            "shorter, or the same few films are shown under other ids"
        )
    by = str(training.adapter)
    if before is not None:
        of_base, base_unknown = before.holds(judged)
        if of_base.any() and not (trained & ~of_base).any():  # a run's own record has its base's rows too
            by = f"{base}, the base of {by}"
        trained = trained | of_base
        unknown = (unknown | base_unknown) & ~trained
    return Overlap(
        run=str(training.adapter),
        rows=len(judged),
        trained=int(trained.sum()),
        trained_by=by if trained.any() else "",
        chosen=int((chosen & ~trained).sum()),
        unknown=int(unknown.sum()),
        why_unknown=why if unknown.any() else "",
        other_dataset=_other_dataset(training, files.test),
    )


def trained_by_any(judged: RowKeys, known: Sequence[TrainedRows | None]) -> Bools:
    """Which rows are among those of any of the trainings: (rows,)."""
    found = np.zeros(len(judged), dtype=bool)
    for rows in known:
        if rows is not None:
            found |= rows.holds(judged)[0]
    return found


def refuse_overlap(overlaps: Sequence[Overlap], files: SplitFiles, in_training_split: int, rows: int) -> None:
    """Raise DataError with the numbers if rows were trained on, or are in the training split that baselines are of."""
    for each in overlaps:
        if each.trained:
            own = each.trained_by == each.run
            because = f" ({each.other_dataset})" if each.other_dataset and own else ""
            raise DataError(f"{overlap_words(each)}: {files.test}{because}", _INSIST)
    if in_training_split:
        raise DataError(split_words(in_training_split, rows, files), _INSIST)


def overlap_words(overlap: Overlap) -> str:
    """`120 of 240 rows were trained on by output/x`."""
    return f"{overlap.trained:,} of the {overlap.rows:,} rows were trained on by {overlap.trained_by}"


def unknown_words(overlap: Overlap) -> str:
    """`whether output/x was trained on 5 of the 240 rows is not known: …`."""
    return (
        f"whether {overlap.run} was trained on {overlap.unknown:,} of the {overlap.rows:,} rows is not known: "
        f"{overlap.why_unknown}"
    )


def split_words(count: int, rows: int, files: SplitFiles) -> str:
    """`12 of the 240 rows of d/test.jsonl are also in d/train.json, …`."""
    return f"{count:,} of the {rows:,} rows of {files.test} are also in {files.train}, which baselines learn from"


def _other_dataset(training: RunTraining, test: Path) -> str:
    """That the rows are of another dataset than the run's; "" if they are not, or that is not known."""
    train = training.dataset.get("train")
    if not isinstance(train, str):
        return ""
    prepared = prepared_split(test)
    now = read_meta(prepared.folder).content_sha256 if prepared else None
    recorded = training.dataset.get("content_sha256")
    here, there = test.resolve().parent, Path(train).parent
    if recorded is not None and recorded == now:
        return ""
    if here != there:
        return f"{training.adapter} was trained on {there}, and these rows are of {here}"
    if recorded != now:
        return f"{here} was prepared again since {training.adapter} was trained on it"
    return ""
