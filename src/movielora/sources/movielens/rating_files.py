"""Reading ratings: `ratings.csv`, `ratings.dat` and `u.data`, millions of lines in seconds."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator

import polars as pl

from movielora.sources.fields import refuse_repeated, stars, whole_number
from movielora.sources.movielens.layouts import Layout
from movielora.sources.movielens.movie_files import column_place
from movielora.sources.rating_table import read_table, read_whole
from movielora.sources.ratings import COLUMNS
from movielora.sources.source_file import SourceFile, decode_utf8

_CSV_NAMES = ("userId", "movieId", "rating", "timestamp")
_POINT = "Separate the fields by one comma each, and write decimals with a point: 3.5."
_FAST_TYPES = (pl.Int32, pl.Int32, pl.Float64, pl.Int64)


def read_ratings(file: SourceFile, layout: Layout) -> pl.DataFrame:
    """The columns `user_id`, `movie_id`, `rating`, `timestamp` in the file's order; a pair rated twice stays twice.

    Raises:
        DataError: the file is empty, lacks a column, or a line holds a field that is no number or out of range.
    """
    if layout.name == "csv":
        _check_header(file)
    return read_table(file, lambda: _read_whole(file, layout), lambda: _read_by_row(file, layout))


def _check_header(file: SourceFile) -> None:
    _header_places(file, next(csv.reader([file.first_line()]), []))


def _header_places(file: SourceFile, header: list[str]) -> list[int]:
    names = [name.strip() for name in header]
    refuse_repeated(file, names)
    return [column_place(file, names, name) for name in _CSV_NAMES]


def _read_whole(file: SourceFile, layout: Layout) -> pl.DataFrame | None:
    """All ratings by polars, or None if it cannot read them."""
    if layout.name == "csv":
        types = dict(zip(_CSV_NAMES, _FAST_TYPES, strict=True))
        return read_whole(file.path, _CSV_NAMES, columns=list(_CSV_NAMES), schema_overrides=types)
    content = file.read_bytes()
    if b"," in content:  # `1,2::3::4` would become four fields
        return None
    # polars separates by one byte
    fields = io.BytesIO(content.replace(layout.rating_separator.encode(), b","))
    return read_whole(fields, COLUMNS, has_header=False, schema=dict(zip(COLUMNS, _FAST_TYPES, strict=True)))


def _read_by_row(file: SourceFile, layout: Layout) -> pl.DataFrame:
    """The ratings, read slowly; raises `DataError` at the first mistake."""
    users, movies, ratings, times = array("q"), array("q"), array("d"), array("q")
    for line, (user, movie, rating, time) in _rows(file, layout):
        users.append(whole_number(file, line, "user id", user))
        movies.append(whole_number(file, line, "movie id", movie))
        ratings.append(stars(file, line, rating))
        times.append(whole_number(file, line, "timestamp", time))
    return pl.DataFrame(
        dict(zip(COLUMNS, [_series(values) for values in (users, movies, ratings, times)], strict=True))
    )


def _series(values: array[int] | array[float]) -> pl.Series:
    return pl.Series(values=memoryview(values), dtype=pl.Float64 if values.typecode == "d" else pl.Int64)


def _rows(file: SourceFile, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """(line, the four fields as text) of every line that is not blank."""
    content = file.read_bytes()
    if layout.name != "csv":
        for line, row in enumerate(content.decode("latin-1").split("\n"), 1):
            if row.strip():
                fields = row.rstrip("\r").split(layout.rating_separator)
                if len(fields) != len(COLUMNS):
                    expected = "user, movie, rating and timestamp"
                    raise file.mistake(line, f"{len(fields)} fields and {len(COLUMNS)} are expected ({expected}).")
                yield line, fields
        return
    reader = csv.reader(io.StringIO(decode_utf8(file, content), newline=""), strict=True)
    line = 1
    try:
        header = next(reader)
        places = _header_places(file, header)
        line = reader.line_num + 1
        for fields in reader:
            if fields:
                if len(fields) != len(header):
                    hint = _POINT if len(fields) > len(header) else ""
                    raise file.mistake(line, f"{len(fields)} fields and the header names {len(header)}.", hint)
                yield line, [fields[place] for place in places]
            line = reader.line_num + 1
    except csv.Error as error:
        raise file.mistake(line, f"the quotes do not close as CSV requires ({error}).") from error
