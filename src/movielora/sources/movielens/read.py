"""Reading MovieLens: a folder or a zip of any of its layouts becomes ratings and films.

    csv      ratings.csv, movies.csv    latest-small, 25M, 32M: commas, a header, UTF-8
    dat      ratings.dat, movies.dat    1M, 10M: `::`, no header, latin-1 (10M: UTF-8)
    ml-100k  u.data, u.item             tabs and `|`, no header, latin-1

Every mistake in a file is a `DataError` that names the file, the line and the field.
"""

from __future__ import annotations

from pathlib import Path

from movielora.errors import DataError
from movielora.progress import Reporter
from movielora.sources.archive import is_archive
from movielora.sources.listing import Listed, beside, hash_files, nearest, opened
from movielora.sources.movielens.layouts import LAYOUTS, Layout
from movielora.sources.movielens.movie_files import read_movies
from movielora.sources.movielens.rating_files import read_ratings
from movielora.sources.ratings import Ratings, Source
from movielora.storage.hashing import file_sha256

_LAYOUT_OF = {layout.ratings: layout for layout in LAYOUTS}


def read(path: Path, scratch: Path | None, reporter: Reporter) -> Ratings:
    """Read a folder, a zip or a ratings file of MovieLens; a zip is unpacked below `scratch` for the while.

    Raises:
        DataError: no layout fits, more than one does, or a file holds a mistake.
    """
    source, layout, files = _find(path)
    with opened(source, files, scratch, reporter) as found:
        with reporter.phase("Reading films", None, "films") as phase:
            movies = read_movies(found[layout.movies], layout)
            phase.advance(len(movies.films))
        movies.note_repeats(reporter)
        with reporter.phase("Reading ratings", None, "ratings") as phase:
            ratings = read_ratings(found[layout.ratings], layout)
            phase.advance(len(ratings))
        hashes = {name: file_sha256(file.path) for name, file in found.items()}
    return Ratings(layout.name, ratings, movies.films, hashes)


def _hash_files(path: Path) -> dict[str, str]:
    source, _, files = _find(path)
    return hash_files(source, files)


def _level_of(path: Path) -> int | None:
    if path.is_file() and path.name.lower() in _LAYOUT_OF:
        return 0
    if path.is_dir() or (path.is_file() and is_archive(path)):
        found = nearest(path, _LAYOUT_OF.__contains__)
        return len(found[0].folders) if found else None
    return None


SOURCE = Source(
    name="MovieLens",
    looked_for=", ".join((*_LAYOUT_OF, "a zip of one")),
    level_of=_level_of,
    read=read,
    hash_files=_hash_files,
)


def _find(path: Path) -> tuple[Path, Layout, dict[str, Listed]]:
    """Where the ratings are that `path` names or holds nearest its top, their layout, and its two files by name."""
    is_named = path.is_file() and path.name.lower() in _LAYOUT_OF
    source = path.parent if is_named else path
    ratings = _only_one(path, [Listed((), path.name, path)] if is_named else nearest(path, _LAYOUT_OF.__contains__))
    layout = _LAYOUT_OF[ratings.name.lower()]
    movies = beside(source, ratings, layout.movies)
    if movies is None:
        home = "/".join(ratings.folders)
        where = f"{source}: {home}" if source.is_file() and home else source / home
        problem = f"{where} has {layout.ratings} but no {layout.movies} beside it."
        raise DataError(problem, f"Put {layout.movies} beside it, or fetch the data again.")
    return source, layout, {layout.ratings: ratings, layout.movies: movies}


def _only_one(path: Path, found: list[Listed]) -> Listed:
    """The file of ratings among those found; of one folder's `ratings.csv` and `Ratings.csv` the former."""
    exact = [file for file in found if file.name in _LAYOUT_OF]
    chosen = exact or found
    if len(chosen) > 1:
        homes = ["/".join(file.folders) for file in chosen]
        listed = ", ".join(homes if len({*homes}) == len(homes) else [file.shown for file in chosen])
        next_step = "Give the folder or the file of one as --source" + ("." if path.is_dir() else ", unpacked.")
        raise DataError(f"{path} holds more than one MovieLens ({listed}).", next_step)
    return chosen[0]
