"""Reading MovieLens: a folder or a zip of any of its layouts becomes ratings and films.

    csv      ratings.csv, movies.csv    latest-small, 25M, 32M: commas, a header, UTF-8
    dat      ratings.dat, movies.dat    1M, 10M: `::`, no header, latin-1 (10M: UTF-8)
    ml-100k  u.data, u.item             tabs and `|`, no header, latin-1

Every mistake in a file is a `DataError` that names the file, the line and the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from movielora.errors import DataError
from movielora.progress import SILENT, Reporter
from movielora.sources.archive import is_archive, unpack_members
from movielora.sources.movie_files import Movie, read_movies
from movielora.sources.rating_files import read_ratings
from movielora.sources.source_file import LAYOUTS, Layout, SourceFile

_WHERE_TO_GET = "Give a folder or zip of MovieLens, or fetch one: movielora prepare --download ml-latest-small"


@dataclass(frozen=True)
class MovieLens:
    """One MovieLens as read.

    `ratings` has the columns `user_id`, `movie_id` (whole numbers), `rating` (stars, 0 to 5) and `timestamp` (unix
    seconds), in the file's order. `hashes` is the SHA-256 of each file read, by its name.
    """

    layout: str
    ratings: pl.DataFrame
    movies: dict[int, Movie]
    hashes: dict[str, str]


def read_movielens(source: Path, scratch: Path | None = None, reporter: Reporter = SILENT) -> MovieLens:
    """Read the folder, the zip or the ratings file `source`; a zip is unpacked below `scratch` for the while.

    Raises:
        DataError: there is nothing there, no layout fits, or a file holds a mistake.
    """
    with _open_source(source, scratch, reporter) as (layout, ratings_file, movies_file):
        with reporter.phase("Reading films", None, "films") as phase:
            movies = read_movies(movies_file, layout)
            phase.advance(len(movies))
        with reporter.phase("Reading ratings", None, "ratings") as phase:
            ratings = read_ratings(ratings_file, layout)
            phase.advance(len(ratings))
        hashes = {file.path.name: _sha256(file) for file in (ratings_file, movies_file)}
    return MovieLens(layout=layout.name, ratings=ratings, movies=movies, hashes=hashes)


@contextmanager
def _open_source(
    source: Path, scratch: Path | None, reporter: Reporter
) -> Iterator[tuple[Layout, SourceFile, SourceFile]]:
    try:
        is_there = source.exists()
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if not is_there:
        raise DataError(f"{source} does not exist.", _WHERE_TO_GET)
    if source.is_dir():
        yield _files_of_folder(source)
    elif source.name in {layout.ratings for layout in LAYOUTS}:
        yield _files_of_folder(source.parent)
    elif is_archive(source):
        with unpack_members(source, scratch, reporter) as files:
            yield files
    else:
        raise DataError(f"{source} is neither a folder nor a zip.", _WHERE_TO_GET)


def _files_of_folder(folder: Path) -> tuple[Layout, SourceFile, SourceFile]:
    """The two files of the first layout found in `folder`, or in its only subfolder that has one."""
    try:
        candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        found = [(path, layout) for path in candidates for layout in LAYOUTS if (path / layout.ratings).is_file()]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if not found:
        names = ", ".join(layout.ratings for layout in LAYOUTS)
        raise DataError(f"{folder} holds no ratings: none of {names} is there.", _WHERE_TO_GET)
    folders = {path for path, _ in found}
    if folder not in folders and len(folders) > 1:
        listed = ", ".join(sorted(path.name for path in folders))
        raise DataError(f"{folder} holds more than one MovieLens ({listed}).", "Give one of these folders as --source.")
    home, layout = found[0]
    movies = home / layout.movies
    if not movies.is_file():
        raise DataError(f"{home} has {layout.ratings} but no {layout.movies}.", f"Put {layout.movies} beside it.")
    ratings = home / layout.ratings
    return layout, SourceFile(ratings, str(ratings)), SourceFile(movies, str(movies))


def _sha256(file: SourceFile) -> str:
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
