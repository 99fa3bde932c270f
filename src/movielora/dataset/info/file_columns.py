"""Which columns the entries of `dataset_info.json` give to the records of a file, however a config names the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from movielora.dataset.info.entry import DatasetEntry, RecordColumns, read_entry
from movielora.dataset.info.registry import read_entries
from movielora.dataset.names import DATASET_INFO
from movielora.errors import DataError


@dataclass(frozen=True)
class FileColumns:
    """`by_file` holds, under a file's real path, the columns that the entries of `info` give to its records (None: by
    their form); `otherwise` is for files that no entry names, there or in the `dataset_info.json` beside them."""

    by_file: Mapping[str, tuple[RecordColumns | None, ...]] = field(default_factory=dict)
    otherwise: RecordColumns | None = None
    info: Path | None = None

    def of(self, path: Path) -> RecordColumns | None:
        """The columns of the records in `path`; None if each is read by its own form.

        Raises:
            DataError: two entries name the file with different columns, and the config names neither; or the entry
                beside the file holds a field that is not honoured.
        """
        given = (*self.by_file.get(os.path.realpath(path), ()), *self._given_beside(path)) or (self.otherwise,)
        if len({columns and columns.key for columns in given}) > 1:
            named = " and ".join(columns.entry if columns else "another entry without columns" for columns in given)
            raise DataError(
                f"{path} is named with different `columns`: {named}", "remove one, or copy the file for one of them"
            )
        return given[0]

    def _given_beside(self, path: Path) -> Iterator[RecordColumns | None]:
        """What the `dataset_info.json` in the file's folder, or in the one above, says of the file."""
        read = os.path.realpath(self.info) if self.info else None
        for folder in path.absolute().parents[:2]:
            info = folder / DATASET_INFO
            if info.is_file() and os.path.realpath(info) != read:
                for name, entry in read_entries(info).items():
                    if isinstance(entry, dict) and _names(info, entry, path):
                        yield read_entry(info, name, entry).columns


def columns_of_entries(
    info: Path, meant: Iterable[DatasetEntry], others: Iterable[DatasetEntry], of_training: RecordColumns | None
) -> FileColumns:
    """The columns of all files that entries of `info` name: those `meant` by the config come before the `others`.

    A file that no entry names, as a test file, is read by the columns `of_training` where its records have these
    fields: the same question and answer must not be read from other fields than in training.
    """
    by_file: dict[str, tuple[RecordColumns | None, ...]] = {}
    for entries in (meant, others):
        found: dict[str, tuple[RecordColumns | None, ...]] = {}
        for entry in entries:
            for name in (entry.file_name, entry.file_name_eval):
                if name is not None:
                    path = os.path.realpath(info.parent / name)
                    found[path] = (*found.get(path, ()), entry.columns)
        by_file = found | by_file
    return FileColumns(by_file, of_training.where_present() if of_training else None, info)


def _names(info: Path, entry: Mapping[str, Any], path: Path) -> bool:
    """Whether the entry, as it stands in the file, is about `path`."""
    files = [entry.get(field) for field in ("file_name", "file_name_eval")]
    return os.path.realpath(path) in [os.path.realpath(info.parent / file) for file in files if isinstance(file, str)]
