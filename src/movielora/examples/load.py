"""Open the examples of a split: the columns of a prepared dataset, or a file of foreign records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from movielora.dataset.dataset import Dataset
from movielora.dataset.find import PreparedSplit, prepared_split
from movielora.dataset.meta import read_meta
from movielora.dataset.names import FILMS, INTERACTIONS
from movielora.examples.example_set import ExampleSet, ListedExamples
from movielora.examples.importers.records import read_records
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import SILENT, Reporter
from movielora.storage.hashing import file_sha256


@dataclass
class ExampleLoader:
    """Opens splits, reading a dataset that several of them belong to once.

    `history_len`: films shown at most, None for as many as a prepared dataset was made with.
    """

    history_len: int | None = None
    reporter: Reporter = SILENT
    _datasets: dict[Path, Dataset] | None = None

    def open(self, path: Path) -> ExampleSet:
        """The examples that `path` names: a file of records, or a split of a prepared dataset.

        Raises DataError if there is nothing there, or it is damaged.
        """
        prepared = self.open_prepared(path)
        return ListedExamples.of(str(path), read_records(path)) if prepared is None else prepared

    def open_prepared(self, path: Path) -> TimelineExamples | None:
        """The split of a prepared dataset that `path` names; None for a file of records. Raises DataError as `open`."""
        prepared = self._unedited(path)
        if prepared is None:
            return None
        dataset = self._dataset(prepared.folder)
        return TimelineExamples(
            name=str(path) if path.is_file() else f"{prepared.folder}, {prepared.split}",
            timelines=dataset.timelines,
            films=dataset.films,
            events=dataset.events[prepared.split],
            history_len=self.history_len or dataset.meta.history_len,
            liked_from=dataset.meta.rating_threshold,
        )

    def content_hash(self, path: Path) -> str:
        """What tells the examples of `path` from others, in hexadecimal. Raises DataError if they are not there."""
        prepared = self._unedited(path)
        if prepared is None:
            return file_sha256(path)
        meta = read_meta(prepared.folder)
        parts = [prepared.split, str(meta.history_len), str(meta.rating_threshold)]
        parts += [meta.files[name].sha256 for name in (INTERACTIONS, FILMS)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def dataset_history_len(self, path: Path) -> int | None:
        """The history length that the dataset of `path` was prepared with; None for a file of records."""
        prepared = prepared_split(path)
        return None if prepared is None else read_meta(prepared.folder).history_len

    def _unedited(self, path: Path) -> PreparedSplit | None:
        """None if `path` is no prepared split, or its exported file was edited since: then the file is read."""
        prepared = prepared_split(path)
        if prepared is None or not prepared.is_edited():
            return prepared
        self.reporter.warn(f"{path} was edited since it was prepared: the file is read, not the dataset's columns")
        return None

    def _dataset(self, folder: Path) -> Dataset:
        self._datasets = {} if self._datasets is None else self._datasets
        if folder not in self._datasets:
            with self.reporter.phase(f"Reading {folder.name}"):
                self._datasets[folder] = Dataset.open(folder)
        return self._datasets[folder]
