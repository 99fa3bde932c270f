"""What a run records about its data as training begins, so that whoever judges it later can know."""

from __future__ import annotations

from pathlib import Path

from movielora.dataset.find import TrainingSplits
from movielora.examples.trained_rows import TrainedRows
from movielora.prompt.asked_words import AskedWords
from movielora.prompt.trained_on import TrainedOn, describe_dataset
from movielora.runs.record import read_record
from movielora.runs.session import RunSession


def record_training(session: RunSession, trained_on: TrainedOn, files: TrainingSplits, base: str) -> None:
    """Write `training_rows.parquet`, and the dataset and the words of its rows into run.json.

    A resumed run adds to what it recorded before; a base that `merge` made brings the rows that it was trained on.
    Raises OSError, DataError for an earlier record that is damaged.
    """
    root = session.paths.root
    rows = trained_on.rows.joined(TrainedRows.read(root)).joined(TrainedRows.read(Path(base)))
    rows.write(root)
    before = read_record(session.paths)
    words = trained_on.words.joined(AskedWords.from_json(before.raw.get("asked")) if before else None)
    session.describe(dataset=describe_dataset(files), asked=words.to_json())
