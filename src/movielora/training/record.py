"""What a run records about its data as training begins, so that whoever judges it later can know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movielora.dataset.find import TrainingSplits
from movielora.examples.trained_rows import TrainedRows
from movielora.prompt.asked_words import AskedWords
from movielora.prompt.trained_on import describe_dataset
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record


def write_rows(folder: Path, paths: RunPaths, rows: TrainedRows, base: str) -> None:
    """Write `training_rows.parquet` into `folder`, for the run at `paths`.

    A resumed run adds to what it recorded before; a base that `merge` made brings the rows that it was trained on.
    Raises OSError, DataError for an earlier record that is damaged.
    """
    rows.joined(TrainedRows.read(paths.root)).joined(TrainedRows.read(Path(base))).write(folder)


def describe_training(paths: RunPaths, words: AskedWords, files: TrainingSplits) -> dict[str, Any]:
    """The dataset, and the words of its rows and of the run's earlier attempts, for run.json. Raises DataError."""
    before = read_record(paths)
    known = AskedWords.from_json(before.raw.get("asked")) if before else None
    return {"dataset": describe_dataset(files), "asked": words.joined(known).to_json()}
