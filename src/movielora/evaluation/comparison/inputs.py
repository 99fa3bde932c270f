"""What a comparison is of: its files, its rows, its folder; and whether a folder may go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_dataset, find_test_file
from movielora.errors import ConfigError, DataError, OutputError, RequestError
from movielora.evaluation.baselines.fitted import DatasetFiles
from movielora.evaluation.comparison.folder import ComparisonFolder, read_json_object, write_json
from movielora.examples.example import Record
from movielora.examples.importers.records import read_records
from movielora.progress import Reporter
from movielora.scoring.predict import Mode
from movielora.storage.lock import FolderLock

BasePrecision = Literal["4bit", "16bit"]

# A temperature and a threshold need no more rows than this; every n-th is taken, so that all users are among them.
EVAL_ROWS = 2_000


@dataclass(frozen=True)
class CompareRequest:
    """What the user asked for; None takes the config's.

    `runs` are no, one or two run folders: one is compared with its base, two with each other. `predictions` is a
    file of scores made elsewhere. `base_precision` wins over the config's `use_qlora`. `resolved` is None only where
    no model is asked, `predictions` alone being read.
    """

    resolved: ResolvedConfig | None
    runs: tuple[Path, ...] = ()
    adapter: Path | None = None
    test_file: Path | None = None
    output_dir: Path | None = None
    max_samples: int | None = None
    batch_size: int | None = None
    system_prompt: str | None = None
    mode: Mode = "score"
    overwrite: bool = False
    controls: bool = False
    calibrate: bool = True
    predictions: Path | None = None
    base_precision: BasePrecision | None = None

    @property
    def config(self) -> ResolvedConfig:
        if self.resolved is None:
            raise ConfigError("compare needs a config, or run folders", "movielora compare --config C, or compare RUN")
        return self.resolved

    @property
    def most_rows(self) -> int | None:
        if self.max_samples or self.resolved is None:
            return self.max_samples
        return self.resolved.values.inference.max_samples


def dataset_files(request: CompareRequest, reporter: Reporter) -> DatasetFiles:
    """The test file, and the splits that baselines and calibration are fitted on where they can be found."""
    test = request.test_file or find_test_file(request.config)
    if request.resolved is None:
        return DatasetFiles(test, _beside(test, "train"), _beside(test, "eval"))
    try:
        found = find_dataset(request.resolved)
    except RequestError as error:
        reporter.warn(f"baselines that need training are left out: {error}")
        return DatasetFiles(test)
    return DatasetFiles(test, found.train, found.evaluation or _beside(found.train, "eval"))


def read_rows(path: Path, most: int | None) -> list[Record]:
    """The first `most` rows. Raises DataError where there are none."""
    records = list(read_records(path))
    if not records:
        raise DataError(f"{path} holds 0 rows", "name another: --test-file FILE")
    return records[:most]


def read_eval_rows(path: Path, most: int | None) -> list[Record]:
    """At most `EVAL_ROWS` (and `most`) rows, evenly spread over the file."""
    records = list(read_records(path))
    step = max(1, -(-len(records) // min(EVAL_ROWS, most or EVAL_ROWS)))
    return records[::step]


@contextmanager
def open_folder(folder: ComparisonFolder, inputs: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Make the folder, or go on in it if it is of the same inputs; `overwrite` starts anew. It is held to the end:
    two comparisons would write between each other's lines.

    Raises OutputError where another comparison is at work in it, where it holds another one, or cannot be used.
    """
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        held = FolderLock.acquire(folder.lock)
    except OSError as error:
        raise OutputError(
            f"the comparison folder {folder.root} cannot be used: {error.strerror}", "choose another --output-dir"
        ) from None
    if held is None:
        raise OutputError(
            f"another comparison is at work in {folder.root}",
            "wait until it has ended, or choose another --output-dir",
        )
    try:
        _go_on_or_begin(folder, inputs, overwrite=overwrite)
        yield
    finally:
        held.release()


def _go_on_or_begin(folder: ComparisonFolder, inputs: Mapping[str, Any], *, overwrite: bool) -> None:
    before = None
    if folder.inputs.is_file():
        before = read_json_object(folder.inputs, "--overwrite starts anew, --output-dir DIR keeps both")
    if before == dict(inputs):
        return
    if before is not None and not overwrite:
        changed = [key for key in inputs if before.get(key) != inputs[key]]
        raise OutputError(
            f"{folder.root} holds a comparison of other inputs ({', '.join(changed) or 'fewer'} changed)",
            "--overwrite starts anew, --output-dir DIR keeps both",
        )
    if before is None and folder.predictions.exists() and not overwrite:
        raise OutputError(f"{folder.predictions} is there, but not by movielora compare", "choose another --output-dir")
    folder.clear()
    write_json(folder.inputs, json.loads(json.dumps(dict(inputs))))


def _beside(path: Path, split: str) -> Path | None:
    return next((found for suffix in ("json", "jsonl") if (found := path.parent / f"{split}.{suffix}").is_file()), None)
