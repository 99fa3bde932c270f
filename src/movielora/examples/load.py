"""Open the examples of a split: the columns of a prepared dataset, or a file of foreign records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from movielora.dataset.dataset import Dataset
from movielora.dataset.find import PreparedSplit, prepared_split
from movielora.dataset.info.entry import RecordColumns
from movielora.dataset.info.file_columns import FileColumns
from movielora.dataset.meta import read_meta
from movielora.dataset.names import FILMS, INTERACTIONS
from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet, ListedExamples
from movielora.examples.importers.records import file_content_hash, first_record_has, read_records
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import SILENT, Reporter
from movielora.sources.titles import Titles


@dataclass
class ExampleLoader:
    """Opens splits, reading a dataset that several of them belong to once.

    `history_len`: the newest films of a history that are kept; None keeps as many as a prepared dataset was made with,
    and all that a foreign record brings. `columns` says which fields the records of a file are read by.
    """

    history_len: int | None = None
    reporter: Reporter = SILENT
    columns: FileColumns = field(default_factory=FileColumns)
    _datasets: dict[Path, Dataset] = field(default_factory=dict)
    _splits: dict[Path, PreparedSplit | None] = field(default_factory=dict)

    def showing(self, history_len: int | None) -> ExampleLoader:
        """A loader that keeps other films of the same datasets, which are not read again."""
        return replace(self, history_len=history_len)

    def open(self, path: Path) -> ExampleSet:
        """The examples that `path` names: a file of records, or a split of a prepared dataset.

        Raises DataError if there is nothing there, or it is damaged.
        """
        if (prepared := self.open_prepared(path)) is not None:
            return prepared
        return ListedExamples.of(str(path), map(self._newest, read_records(path, self.columns.of(path))))

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
            return file_content_hash(path, self.columns.of(path))
        meta = read_meta(prepared.folder)
        parts = [prepared.split, str(meta.history_len), str(meta.rating_threshold)]
        parts += [meta.files[name].sha256 for name in (INTERACTIONS, FILMS)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def dataset_history_len(self, path: Path) -> int | None:
        """The history length that the dataset of `path` was prepared with; None for a file of records."""
        prepared = self._unedited(path)
        return None if prepared is None else read_meta(prepared.folder).history_len

    def dataset_titles(self, path: Path) -> Titles:
        """How the dataset of `path` shows titles, its exported file edited or not; `as_given` for other files."""
        prepared = prepared_split(path)
        return "as_given" if prepared is None else read_meta(prepared.folder).titles

    def _unedited(self, path: Path) -> PreparedSplit | None:
        """None if `path` is no prepared split, or its exported file was edited since, or an entry of
        `dataset_info.json` asks for other fields of it: then the file is read."""
        if path not in self._splits:
            self._splits[path] = prepared_split(path)
            if (found := self._splits[path]) is not None and found.is_edited():
                self.reporter.warn(f"{path} was edited since it was prepared: the file is read, not the columns")
                self._splits[path] = None
            columns = self.columns.of(path)
            if columns is not None and not columns.are_of_an_export and not columns.if_present:
                self._splits[path] = None  # the entry asks for other fields of the exported file than the columns hold
            if columns is not None and self._splits[path] is None and self._reads_by(path, columns):
                self.reporter.note(f"{path} is read as {columns.entry} says: {columns.in_words()}")
        return self._splits[path]

    def _reads_by(self, path: Path, columns: RecordColumns) -> bool:
        return not columns.if_present or (path.is_file() and first_record_has(path, columns))

    def _newest(self, example: Example) -> Example:
        """The example with the films that are kept; text stays as it came, and rendering it refuses too many."""
        if self.history_len is None or example.history is None or len(example.history) <= self.history_len:
            return example
        return replace(example, history=example.history[-self.history_len :])

    def _dataset(self, folder: Path) -> Dataset:
        if folder not in self._datasets:
            with self.reporter.phase(f"Reading {folder.name}"):
                dataset = Dataset.open(folder)
                dataset.verify()  # runs and comparisons are identified by the hashes of meta.json
                self._datasets[folder] = dataset
        return self._datasets[folder]
