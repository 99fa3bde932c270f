"""A prepared dataset, opened: its timelines, films and splits as columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from movielora.dataset.columns import read_films, read_interactions
from movielora.dataset.films import Films
from movielora.dataset.meta import DatasetMeta, FileFacts, read_meta, remake_command
from movielora.dataset.names import FILMS, INTERACTIONS, META
from movielora.dataset.timelines import Integers, Timelines
from movielora.errors import DataError, first_line, what_helps
from movielora.storage.hashing import file_sha256

_COLUMNS = (INTERACTIONS, FILMS)


@dataclass(frozen=True)
class Dataset:
    """`events` holds, for train, eval and test, the positions of the examples in the timelines, ascending.

    An example is one rating: the `meta.history_len` ratings before it are its history, its film the candidate, and the
    answer is Yes if its rating is `meta.rating_threshold` stars or more.
    """

    folder: Path
    timelines: Timelines
    films: Films
    events: dict[str, Integers]
    meta: DatasetMeta

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Read the columns of a dataset folder, checking the files' sizes; `verify` checks their hashes.

        Raises:
            DataError: the folder is no dataset, is damaged, or has an older or a newer schema.
        """
        meta = read_meta(folder)
        for name in _COLUMNS:
            _check_size(folder, name, meta)
        with _reading(folder, FILMS, meta) as path:
            films = read_films(path)
        with _reading(folder, INTERACTIONS, meta) as path:
            timelines, events = read_interactions(path, films)
        counts = {name: len(rows) for name, rows in events.items()}
        if len(timelines.item) != meta.ratings or counts != meta.counts:
            raise _damaged(folder, INTERACTIONS, "it does not hold the ratings that meta.json counts", meta)
        return cls(folder, timelines, films, events, meta)

    def verify(self) -> None:
        """Compare the hash of each column file with `meta.json`.

        Raises:
            DataError: a file changed since it was written.
        """
        for name in _COLUMNS:
            if file_sha256(self.folder / name) != self.meta.files[name].sha256:
                raise _damaged(self.folder, name, "its hash differs from the one in meta.json", self.meta)

    def edited_exports(self) -> tuple[str, ...]:
        """The exported JSON files whose bytes changed since they were written; one that was removed is not listed."""
        exports = {name: facts for name, facts in self.meta.files.items() if name not in _COLUMNS}
        return tuple(name for name, facts in exports.items() if is_edited(self.folder / name, facts))


def read_dataset_films(folder: Path) -> Films:
    """The films of a dataset folder, without its ratings.

    Raises:
        DataError: the folder is no dataset, is damaged, or has an older or a newer schema.
    """
    meta = read_meta(folder)
    _check_size(folder, FILMS, meta)
    with _reading(folder, FILMS, meta) as path:
        return read_films(path)


@contextmanager
def _reading(folder: Path, name: str, meta: DatasetMeta) -> Iterator[Path]:
    try:
        yield folder / name
    except FileNotFoundError as error:
        again = f"Prepare it again: {remake_command(meta.values, folder)}"
        raise DataError(f"{folder / name} cannot be read: {error.strerror}.", again) from error
    except OSError as error:
        raise DataError(
            f"{folder / name} cannot be read: {error.strerror or error}.", f"{what_helps(error).capitalize()}."
        ) from error
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise _damaged(folder, name, first_line(error).rstrip("."), meta) from error


def _check_size(folder: Path, name: str, meta: DatasetMeta) -> None:
    if name not in meta.files:
        raise _damaged(folder, META, f"it does not list {name}", meta)
    with _reading(folder, name, meta) as path:
        size = path.stat().st_size
    if size != meta.files[name].bytes:
        raise _damaged(folder, name, f"it has {size:,} bytes and meta.json says {meta.files[name].bytes:,}", meta)


def is_edited(path: Path, facts: FileFacts) -> bool:
    """Whether a file is there and its bytes are not those of `facts`. Raises DataError if it cannot be read."""
    if not path.is_file():
        return False
    return path.stat().st_size != facts.bytes or file_sha256(path) != facts.sha256


def _damaged(folder: Path, name: str, problem: str, meta: DatasetMeta) -> DataError:
    # `prepare` replaces no file that is not as it was written
    damaged = folder if name == META else folder / name
    command = remake_command(meta.values, folder)
    return DataError(f"{folder / name} is damaged: {problem}.", f"Move {damaged} away and prepare it again: {command}")
