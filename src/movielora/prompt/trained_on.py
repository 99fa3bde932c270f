"""What a training uses, as it is recorded with the run: which rows, and in which words they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from movielora.config import Config
from movielora.dataset.find import TrainingSplits, prepared_split
from movielora.dataset.meta import read_meta
from movielora.examples.example_set import ExampleSet, sample_rows
from movielora.examples.load import ExampleLoader
from movielora.examples.row_keys import row_keys
from movielora.examples.trained_rows import TrainedRows
from movielora.prompt.asked_words import AskedWords
from movielora.prompt.spec import PromptSpec


@dataclass(frozen=True)
class TrainedOn:
    """`words` are those of the training rows; evaluation rows are asked in what they bring."""

    rows: TrainedRows
    words: AskedWords


def rows_of_training(config: Config, files: TrainingSplits, loader: ExampleLoader, spec: PromptSpec) -> TrainedOn:
    """What a training by `config` on `files` uses. Raises DataError as the loader does."""
    whole = loader.showing(None)  # keys are of the rows as the data has them, however many films a prompt shows
    train = _sampled(whole.open(files.train), config.max_samples, config.seed)
    evaluation = None
    if files.evaluation is not None:
        evaluation = row_keys(_sampled(whole.open(files.evaluation), config.max_eval_samples, config.seed))
    return TrainedOn(TrainedRows.of(row_keys(train), evaluation), AskedWords.of(train, spec))


def describe_dataset(files: TrainingSplits) -> dict[str, Any]:
    """Which dataset that is, for run.json: `train` and `eval` (absolute paths), and of a prepared one its folder's
    `content_sha256`. Raises DataError if its meta.json cannot be read."""
    prepared = prepared_split(files.train)
    return {
        "train": str(files.train.resolve()),
        "eval": str(files.evaluation.resolve()) if files.evaluation else None,
        "content_sha256": read_meta(prepared.folder).content_sha256 if prepared else None,
    }


def _sampled(examples: ExampleSet, most: int | None, seed: int) -> ExampleSet:
    return examples if most is None else examples.select(sample_rows(len(examples), most, seed))
