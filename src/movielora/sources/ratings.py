"""What every source gives: ratings as a frame, and the films it lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from movielora.progress import Reporter

COLUMNS = ("user_id", "movie_id", "rating", "timestamp")


@dataclass(frozen=True)
class Movie:
    """A film as its source lists it: the title on one line (never empty), and the genres."""

    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Ratings:
    """The ratings of one source, as read.

    `frame` has the columns `user_id`, `movie_id` (whole numbers or text), `rating` (stars, 0 to 5) and `timestamp`
    (unix seconds), in the file's order. `films` has the source's films by id, of the type that `movie_id` has; not
    every rated film is listed. `layout` is the form of the files, `hashes` the SHA-256 of each, by its name.
    """

    layout: str
    frame: pl.DataFrame
    films: dict[int, Movie] | dict[str, Movie]
    hashes: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A form in which ratings come: one of the list in `catalogue.py`.

    `level_of` says how many folders below a path that exists, file, folder or zip, the files of this form lie, None if
    there are none (it may raise OSError or DataError); `read` reads them, unpacking what must be unpacked below the
    scratch folder (None: the system's), or raises DataError naming file, line and field. `hash_files` gives the
    `hashes` that reading would, without reading. `looked_for` completes "looked for": the file names that `level_of`
    goes by.
    """

    name: str
    looked_for: str
    level_of: Callable[[Path], int | None]
    read: Callable[[Path, Path | None, Reporter], Ratings]
    hash_files: Callable[[Path], dict[str, str]]
