"""Reading MovieLens: a folder or a zip of any of its layouts becomes ratings and films.

    csv      ratings.csv, movies.csv    latest-small, 25M, 32M: commas, a header, UTF-8
    dat      ratings.dat, movies.dat    1M, 10M: `::`, no header, latin-1 (10M: UTF-8)
    ml-100k  u.data, u.item             tabs and `|`, no header, latin-1

Every mistake in a file is a `DataError` that names the file, the line and the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from movielora.errors import DataError
from movielora.progress import Reporter
from movielora.sources.movielens.archive import is_archive, member_hashes, unpack_members
from movielora.sources.movielens.layouts import LAYOUTS, Layout
from movielora.sources.movielens.movie_files import read_movies
from movielora.sources.movielens.rating_files import read_ratings
from movielora.sources.ratings import Ratings, Source
from movielora.sources.source_file import SourceFile
from movielora.storage.hashing import file_sha256

_RATINGS_NAMES = tuple(layout.ratings for layout in LAYOUTS)


def read(path: Path, scratch: Path | None, reporter: Reporter) -> Ratings:
    """Read a folder, a zip or a ratings file of MovieLens; a zip is unpacked below `scratch` for the while.

    Raises:
        DataError: no layout fits, or a file holds a mistake.
    """
    with _open_files(path, scratch, reporter) as (layout, ratings_file, movies_file):
        with reporter.phase("Reading films", None, "films") as phase:
            movies = read_movies(movies_file, layout)
            phase.advance(len(movies))
        with reporter.phase("Reading ratings", None, "ratings") as phase:
            ratings = read_ratings(ratings_file, layout)
            phase.advance(len(ratings))
        hashes = {file.path.name: file_sha256(file.path) for file in (ratings_file, movies_file)}
    return Ratings(layout.name, ratings, movies, hashes)


def _hash_files(path: Path) -> dict[str, str]:
    if path.is_dir() or path.name in _RATINGS_NAMES:
        _, *files = _files_of_folder(path if path.is_dir() else path.parent)
        return {file.path.name: file_sha256(file.path) for file in files}
    return member_hashes(path)


def _is_mine(path: Path) -> bool:
    if path.is_dir():
        return bool(_found_below(path))
    return path.is_file() and (path.name in _RATINGS_NAMES or is_archive(path))


SOURCE = Source(
    name="MovieLens",
    looked_for=", ".join((*_RATINGS_NAMES, "a zip of one")),
    is_mine=_is_mine,
    read=read,
    hash_files=_hash_files,
)


@contextmanager
def _open_files(
    path: Path, scratch: Path | None, reporter: Reporter
) -> Iterator[tuple[Layout, SourceFile, SourceFile]]:
    if path.is_dir():
        yield _files_of_folder(path)
    elif path.name in _RATINGS_NAMES:
        yield _files_of_folder(path.parent)
    else:
        with unpack_members(path, scratch, reporter) as files:
            yield files


def _found_below(folder: Path) -> list[tuple[Path, Layout]]:
    """The layouts found in `folder` and in its subfolders. Raises OSError."""
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [(path, layout) for path in candidates for layout in LAYOUTS if (path / layout.ratings).is_file()]


def _files_of_folder(folder: Path) -> tuple[Layout, SourceFile, SourceFile]:
    """The two files of the first layout found in `folder`, or in its only subfolder that has one."""
    found = _found_below(folder)
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
