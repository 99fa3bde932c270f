"""RecBole's atomic files: `NAME.inter` holds the ratings, `NAME.item` (if there is one) the films.

Tab-separated with a header of typed fields, as `user_id:token<TAB>item_id:token<TAB>rating:float<TAB>timestamp:float`;
a `token_seq` is words separated by spaces (https://recbole.io/docs/user_guide/data/atomic_files.html). Ids are text,
and become whole numbers if every one is a plain whole number.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from movielora.errors import DataError
from movielora.progress import Reporter
from movielora.sources.archive import is_archive
from movielora.sources.fields import refuse_repeated, seconds, stars
from movielora.sources.film_list import FilmList
from movielora.sources.listing import Listed, beside, hash_files, nearest, opened
from movielora.sources.rating_table import read_table, read_whole
from movielora.sources.ratings import COLUMNS, Movie, Ratings, Source
from movielora.sources.source_file import SourceFile, decode_utf8
from movielora.sources.titles import one_line
from movielora.storage.hashing import file_sha256

_COLUMN_TYPES = (pl.String(), pl.String(), pl.Float64(), pl.Float64())
_TYPES = ("token", "token_seq", "float", "float_seq")
_USER, _ITEM, _RATING, _TIME = ("user_id",), ("item_id", "movie_id"), ("rating",), ("timestamp",)
_TITLE = ("movie_title", "title", "name")
_YEAR = ("release_year", "year")
# RecBole's ml-1m says `genre`, its ml-100k `class`.
_GENRES = ("genre", "genres", "class")
_NO_GENRES = ("(no genres listed)", "unknown", "")
_FOUR_DIGITS = re.compile(r"[12][0-9]{3}")
_PLAIN_NUMBER = r"^(0|[1-9][0-9]{0,17})$"


def read(path: Path, scratch: Path | None, reporter: Reporter) -> Ratings:
    """Read a `.inter` file, or the one in a folder or zip, nearest its top, and the `.item` file beside it.

    Raises:
        DataError: there is more than one `.inter` file, or a file holds a mistake.
    """
    source, ratings, items = _find(path)
    films: dict[str, Movie] = {}
    with opened(source, _by_name(ratings, items), scratch, reporter) as found:
        ratings_file = found[ratings.name]
        if items is not None:
            with reporter.phase("Reading films", None, "films") as phase:
                listed = _read_films(found[items.name])
                films = listed.films
                phase.advance(len(films))
            listed.note_repeats(reporter)
        else:
            missing = Path(ratings_file.shown).with_suffix(".item")
            reporter.note(f"There is no {missing}: films are named by their ids.")
        with reporter.phase("Reading ratings", None, "ratings") as phase:
            frame = _read_ratings(ratings_file)
            phase.advance(len(frame))
        hashes = {name: file_sha256(file.path) for name, file in found.items()}
    return _with_number_ids(Ratings("recbole", frame, films, hashes), films)


def _hash_files(path: Path) -> dict[str, str]:
    source, ratings, items = _find(path)
    return hash_files(source, _by_name(ratings, items))


def _by_name(ratings: Listed, items: Listed | None) -> dict[str, Listed]:
    return {file.name: file for file in (ratings, items) if file is not None}


def _level_of(path: Path) -> int | None:
    if path.is_file() and _is_inter(path.name.lower()):
        return 0
    if path.is_dir() or (path.is_file() and is_archive(path)):
        found = nearest(path, _is_inter)
        return len(found[0].folders) if found else None
    return None


SOURCE = Source(
    name="RecBole", looked_for="NAME.inter, a zip of one", level_of=_level_of, read=read, hash_files=_hash_files
)


def _is_inter(name: str) -> bool:
    return name.endswith(".inter")


def _find(path: Path) -> tuple[Path, Listed, Listed | None]:
    """The folder or zip, its `.inter` file, and the `.item` file beside that, if there is one."""
    if path.is_file() and _is_inter(path.name.lower()):
        source, ratings = path.parent, Listed((), path.name, path)
    else:
        source, ratings = path, _only_one(path)
    return source, ratings, beside(source, ratings, f"{Path(ratings.name).stem}.item")


def _only_one(path: Path) -> Listed:
    found = nearest(path, _is_inter)
    # RecBole names the whole file like its folder; `NAME.train.inter` and the like are parts of it
    top = path.stem if path.is_file() else path.name
    whole = [file for file in found if Path(file.name).stem == (file.folders[-1] if file.folders else top)]
    chosen = found if len(found) == 1 else whole
    if len(chosen) != 1:
        names = ", ".join(file.shown for file in found)
        next_step = "Give one of them as --source" + ("." if path.is_dir() else ", unpacked.")
        raise DataError(f"{path} holds more than one file of ratings ({names}).", next_step)
    return chosen[0]


def _read_ratings(file: SourceFile) -> pl.DataFrame:
    """The ratings with ids as text, in the file's order; raises DataError."""
    header = _header(file)
    names = _names(file, header)
    places = [_place(file, names, wanted) for wanted in (_USER, _ITEM, _RATING, _TIME)]
    fields = [header[place] for place in places]
    frame = read_table(file, lambda: _read_whole(file, fields), lambda: _read_by_row(file, places))
    # a time with a fraction is cut to its second
    return frame.with_columns(pl.col("timestamp").floor().cast(pl.Int64))


def _read_whole(file: SourceFile, fields: list[str]) -> pl.DataFrame | None:
    """The four columns under `fields` by polars, or None if it cannot read them."""
    types = dict(zip(fields, _COLUMN_TYPES, strict=True))
    form = {"separator": "\t", "quote_char": None, "infer_schema_length": 1}
    return read_whole(file.path, fields, columns=fields, schema_overrides=types, **form)


def _read_by_row(file: SourceFile, places: list[int]) -> pl.DataFrame:
    """The ratings, read slowly; raises DataError at the first mistake."""
    users: list[str] = []
    items: list[str] = []
    ratings, times = array("d"), array("d")
    for line, fields in _rows(file):
        user, item, rating, time = (fields[place] for place in places)
        for name, text in (("user id", user), ("item id", item)):
            if not text:
                raise file.mistake(line, f"the {name} is empty.")
        users.append(user)
        items.append(item)
        ratings.append(stars(file, line, rating))
        times.append(seconds(file, line, time))
    columns = zip(COLUMNS, (users, items, list(ratings), list(times)), strict=True)
    return pl.DataFrame(dict(columns), schema=dict(zip(COLUMNS, _COLUMN_TYPES, strict=True)))


def _read_films(file: SourceFile) -> FilmList[str]:
    """Films by id; a film with an empty title is left out. Raises DataError."""
    names = _names(file, _header(file))
    item_at, title_at = _place(file, names, _ITEM), _place(file, names, _TITLE)
    year_at, genres_at = _place_or_none(names, _YEAR), _place_or_none(names, _GENRES)
    found = FilmList[str](file)
    for line, fields in _rows(file):
        if not fields[item_at]:
            raise file.mistake(line, "the item id is empty.")
        title = one_line(_unquoted(fields[title_at]))
        year = "" if year_at is None else fields[year_at].strip()
        genres = "" if genres_at is None else _unquoted(fields[genres_at]).strip()
        found.add(line, fields[item_at], _with_year(title, year), _genres(genres))
    return found


def _header(file: SourceFile) -> list[str]:
    """The fields of the first line, as `rating:float`."""
    return file.first_line().split("\t")


def _names(file: SourceFile, header: list[str]) -> list[str]:
    """The names of the fields, without their types."""
    names = []
    for field in header:
        name, _, kind = field.strip().partition(":")
        if kind not in _TYPES:
            raise file.mistake(1, f"the field {field[:40]!r} has no type, as in rating:float ({', '.join(_TYPES)}).")
        names.append(name)
    refuse_repeated(file, names)
    return names


def _place(file: SourceFile, names: list[str], wanted: tuple[str, ...]) -> int:
    place = _place_or_none(names, wanted)
    if place is None:
        shown = ", ".join(name[:40] for name in names[:8])
        problem = f"{file.shown} has no field {wanted[0]!r}; its first line has: {shown}."
        raise DataError(problem, f"Name it {wanted[0]} there.")
    return place


def _place_or_none(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _rows(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """(line, its fields) of every line after the header that is not blank."""
    lines = decode_utf8(file, file.read_bytes()).split("\n")
    count = len(lines[0].split("\t"))
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            fields = line.rstrip("\r").split("\t")
            if len(fields) != count:
                raise file.mistake(number, f"{len(fields)} fields and the header names {count}.")
            yield number, fields


def _unquoted(text: str) -> str:
    """pandas quotes a field that holds a quote; RecBole's own converters do not, so a lone quote stays as it is."""
    inner = text[1:-1]
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else text


def _with_year(title: str, year: str) -> str:
    """`Heat` and `1995` → `Heat (1995)`, as MovieLens writes titles; an empty title stays empty."""
    if not title or not _FOUR_DIGITS.fullmatch(year) or title.endswith(f"({year})"):
        return title
    return f"{title} ({year})"


def _genres(text: str) -> tuple[str, ...]:
    return () if text in _NO_GENRES else tuple(text.split())


def _with_number_ids(ratings: Ratings, films: dict[str, Movie]) -> Ratings:
    frame, listed = ratings.frame, pl.Series(list(films), dtype=pl.String)
    numbers: dict[int, Movie] | None = None
    if _are_plain_numbers(frame["user_id"]):
        frame = frame.with_columns(_numbers(frame["user_id"]))
    if _are_plain_numbers(frame["movie_id"]) and _are_plain_numbers(listed):
        frame = frame.with_columns(_numbers(frame["movie_id"]))
        numbers = {int(film): movie for film, movie in films.items()}
    return Ratings(ratings.layout, frame, films if numbers is None else numbers, ratings.hashes)


def _numbers(ids: pl.Series) -> pl.Series:
    numbers = ids.cast(pl.Int64)
    return numbers if numbers.cast(pl.Int32, strict=False).null_count() else numbers.cast(pl.Int32)


def _are_plain_numbers(ids: pl.Series) -> bool:
    return bool(ids.str.contains(_PLAIN_NUMBER).all())
