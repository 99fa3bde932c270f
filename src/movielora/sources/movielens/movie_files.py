"""Reading films: `movies.csv`, `movies.dat` and `u.item`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from movielora.errors import DataError
from movielora.sources.fields import refuse_repeated, whole_number
from movielora.sources.film_list import FilmList
from movielora.sources.movielens.layouts import Layout
from movielora.sources.source_file import SourceFile, decode_old, decode_utf8

# The order of the 19 flags that end a line of u.item (u.genre of MovieLens 100K).
_GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
_FIELDS_100K = 5 + len(_GENRES_100K)
_NO_GENRES = "(no genres listed)"
_QUOTE = 'Put a title that holds a comma between double quotes, as in 1,"Matrix, The (1999)",Drama.'


def read_movies(file: SourceFile, layout: Layout) -> FilmList[int]:
    """Films by movie id; a film with an empty title is left out.

    Raises:
        DataError: the file is empty, is no CSV, lacks a column or names one twice, or a line has too few or too many
            fields, an id that is no number, or that of another film.
    """
    content = file.read_bytes()
    if layout.name == "csv":
        rows = _csv_rows(file, decode_utf8(file, content))
    else:
        rows = _plain_rows(file, decode_old(content), layout.movie_separator)
    found = FilmList[int](file)
    for line, id_text, title, genres in rows:
        found.add(line, whole_number(file, line, "movie id", id_text), title, genres)
    return found


def _csv_rows(file: SourceFile, text: str) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
    """(line, id, title, genres) of `movieId,title,genres`, in any order of columns; titles may hold line breaks."""
    # strict: a stray quote would otherwise swallow the films after it silently
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(reader)]
        refuse_repeated(file, header)
        places = [column_place(file, header, name) for name in ("movieId", "title")]
        genres_at = header.index("genres") if "genres" in header else None
        line = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    hint = _QUOTE if len(row) > len(header) else ""
                    raise file.mistake(line, f"{len(row)} fields and the header names {len(header)}.", hint)
                genres = () if genres_at is None else _genres(row[genres_at])
                yield line, row[places[0]], row[places[1]], genres
            line = reader.line_num + 1
    except csv.Error as error:
        raise file.mistake(line, f"the quotes do not close as CSV requires ({error}).") from error


def _plain_rows(file: SourceFile, text: str, separator: str) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
    """(line, id, title, genres) of `movies.dat` (`1::Title::A|B`) or `u.item` (`1|Title|…|19 flags`)."""
    fields_of = _flagged if separator == "|" else _listed
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield line, *fields_of(file, line, row.rstrip("\r").split(separator))


def _flagged(file: SourceFile, line: int, fields: list[str]) -> tuple[str, str, tuple[str, ...]]:
    """Id, title and genres of a line of u.item, where nothing can be quoted."""
    flags = fields[-len(_GENRES_100K) :]
    if len(fields) != _FIELDS_100K or not set(flags) <= {"0", "1"}:
        raise file.mistake(
            line,
            f"id, title, two dates, address and {len(_GENRES_100K)} flags of 0 or 1, separated by |, are expected.",
        )
    named = zip(_GENRES_100K, flags, strict=True)
    return fields[0], fields[1], tuple(name for name, flag in named if flag == "1" and name != "unknown")


def _listed(file: SourceFile, line: int, fields: list[str]) -> tuple[str, str, tuple[str, ...]]:
    """Id, title and genres of a line of movies.dat, whose title may itself hold `::`."""
    if len(fields) < 3:
        raise file.mistake(line, "an id, a title and genres separated by :: are expected.")
    return fields[0], "::".join(fields[1:-1]), _genres(fields[-1])


def _genres(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split("|") if (name := part.strip()) and name != _NO_GENRES)


def column_place(file: SourceFile, header: list[str], name: str) -> int:
    """The place of `name` in the header.

    Raises:
        DataError: it is not there.
    """
    if name not in header:
        shown = ", ".join(column[:40] for column in header[:8])
        raise DataError(f"{file.shown} has no column {name!r}; its first line is: {shown}.", f"Name it {name} there.")
    return header.index(name)
