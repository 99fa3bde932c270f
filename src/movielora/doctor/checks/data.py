"""The data files of the config: found the way the training finds them, and their first record read."""

from __future__ import annotations

from pathlib import Path

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_dataset, prepared_split
from movielora.dataset.info.file_columns import FileColumns
from movielora.dataset.meta import read_meta
from movielora.doctor.check import Check, failure, ok, skipped
from movielora.errors import RequestError
from movielora.examples.importers.records import read_records


def check_data(resolved: ResolvedConfig | None) -> Check:
    if resolved is None:
        return skipped("data", "no config given")
    try:
        files = find_dataset(resolved)
        named = [file for file in (files.train, files.evaluation) if file is not None]
        shown = [_first_look(file, files.columns) for file in named]
    except RequestError as error:
        return failure("data", error.message, "the files of the config", error.next_step)
    return ok("data", ", ".join(shown))


def _first_look(path: Path, columns: FileColumns) -> str:
    """A split of a prepared dataset with its examples, or a file with its size, its first record read."""
    prepared = prepared_split(path)
    if prepared is not None and not prepared.is_edited():
        return f"{path} ({read_meta(prepared.folder).counts[prepared.split]:,} examples)"
    next(read_records(path, columns.of(path)), None)
    return f"{path} ({path.stat().st_size / 1e6:,.1f} MB)"
