"""What is known of the training of an adapter: its rows, its words, its dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from movielora.dataset.find import TrainingSplits, find_dataset
from movielora.errors import MovieloraError
from movielora.examples.load import ExampleLoader
from movielora.examples.trained_rows import TrainedRows
from movielora.progress import Reporter
from movielora.prompt.asked_words import AskedWords
from movielora.prompt.trained_on import TrainedOn, rows_of_training
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.scoring.scorer import config_of_run, spec_of
from movielora.storage import fields


@dataclass(frozen=True)
class RunTraining:
    """`rows` and `words` are None if not known, for the reason `why_unknown`; `dataset` is as run.json has it, or
    empty."""

    adapter: Path
    rows: TrainedRows | None = None
    words: AskedWords | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    why_unknown: str = ""


def training_of(adapter: Path, reporter: Reporter) -> RunTraining:
    """Read the record of the run that `adapter` (a run folder, or a checkpoint in one) belongs to.

    A run of an earlier version has none: it is derived from the run's dataset, if that is still the same. Raises
    DataError if the record is damaged.
    """
    folder = _run_folder(adapter)
    record = read_record(RunPaths(folder))
    rows = TrainedRows.read(folder)
    if record is None:
        return RunTraining(adapter, rows, why_unknown="its folder has no record of a run")
    words = AskedWords.from_json(record.raw.get("asked"))
    dataset = fields.mapping(record.raw.get("dataset"))
    if rows is not None and words is not None:
        return RunTraining(adapter, rows, words, dataset)
    derived, why = _derive(folder, record, reporter)
    if derived is None:
        return RunTraining(adapter, rows, words, dataset, why)
    return RunTraining(adapter, rows or derived.rows, words or derived.words, dataset)


def _run_folder(adapter: Path) -> Path:
    """The run's folder: that of the adapter, or of the checkpoint that it is."""
    parent = RunPaths(adapter.resolve().parent)
    is_checkpoint = any(path.name == adapter.resolve().name for _, path in parent.checkpoints())
    return parent.root if is_checkpoint and parent.record.is_file() else adapter


def _derive(folder: Path, record: RunRecord, reporter: Reporter) -> tuple[TrainedOn | None, str]:
    """What a run that recorded no rows was trained on, if its dataset is unchanged; else why that is not known."""
    identity = fields.mapping(record.raw.get("identity"))
    earlier = "it is of an earlier version of movielora"
    try:
        resolved = config_of_run(folder)
        files = find_dataset(resolved)
        loader = ExampleLoader(reporter=reporter, columns=files.columns)
        if loader.content_hash(files.train) != identity.get("training data"):
            return None, f"{earlier}, and {files.train} is not, or not certainly, what it was trained on"
        evaluation = files.evaluation
        if evaluation and loader.content_hash(evaluation) != identity.get("evaluation data"):
            evaluation = None
        same = TrainingSplits(files.train, evaluation, files.columns)
        return rows_of_training(resolved.values, same, loader, spec_of(resolved, folder)), ""
    except MovieloraError as error:  # its data is gone, or its config is of another version
        return None, f"{earlier}, and what it was trained on cannot be found: {error.message}"
