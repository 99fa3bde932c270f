"""The films of a dataset, in ascending order of their ids: a film's place here is what the columns name it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from movielora.sources.ratings import Movie

Places = npt.NDArray[np.int32]

# An id table of up to this many entries a film is faster than a search and still small (87,000 films: 5 MB at most).
_TABLE_ENTRIES_PER_FILM = 16


@dataclass(frozen=True)
class Films:
    """`ids` (films,) ascending, whole numbers or text (then an object array); `titles` and `genres` beside them.

    Titles are one line and never empty.
    """

    ids: npt.NDArray[Any]
    titles: list[str]
    genres: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.titles)

    def places(self, ids: pl.Series) -> Places:
        """The place of each id.

        Raises:
            KeyError: an id is not among the films.
        """
        return places_among(self.ids, ids)


def films_of(ratings: pl.DataFrame, listed: Mapping[Any, Movie]) -> Films:
    """The films that are listed or rated; one that is rated and not listed is named by `untitled`."""
    ids = distinct_ids(_all_ids(ratings["movie_id"].unique(), list(listed)))
    movies = [listed.get(movie_id) or Movie(untitled(movie_id), ()) for movie_id in ids.tolist()]
    return Films(ids, [movie.title for movie in movies], [movie.genres for movie in movies])


def untitled(movie_id: int | str) -> str:
    """The name of a film that the source does not name: `Movie 123`, or its id if that is text."""
    return movie_id if isinstance(movie_id, str) else f"Movie {movie_id}"


def distinct_ids(ids: pl.Series) -> npt.NDArray[Any]:
    """The distinct ids, ascending: whole numbers, or text (an object array, in the order of Python's strings)."""
    distinct = ids.unique().sort()
    return np.array(distinct.to_list(), dtype=object) if distinct.dtype == pl.String else distinct.to_numpy()


def places_among(distinct: npt.NDArray[Any], ids: pl.Series) -> Places:
    """The place of each id in `distinct` (ascending).

    Raises:
        KeyError: an id is not there.
    """
    if distinct.dtype == object:
        found = ids.cast(pl.Enum(distinct.tolist()), strict=False).to_physical()
        if found.null_count():
            raise KeyError("an id is not in the list")
        return found.to_numpy().astype(np.int32)
    return _number_places(distinct, ids.to_numpy())


def _number_places(distinct: npt.NDArray[Any], ids: npt.NDArray[Any]) -> Places:
    if not len(ids):
        return np.zeros(0, np.int32)
    lowest, highest = (int(distinct[0]), int(distinct[-1])) if len(distinct) else (0, -1)
    if int(ids.min()) < lowest or int(ids.max()) > highest:
        raise KeyError("an id is not in the list")
    if highest - lowest < _TABLE_ENTRIES_PER_FILM * len(distinct):
        table = np.full(highest - lowest + 1, -1, np.int32)
        table[distinct - lowest] = np.arange(len(distinct), dtype=np.int32)
        places: Places = table[ids - lowest if lowest else ids]
        if int(places.min()) < 0:
            raise KeyError("an id is not in the list")
        return places
    places = np.searchsorted(distinct, ids).astype(np.int32)
    if not np.array_equal(distinct[places], ids):
        raise KeyError("an id is not in the list")
    return places


def _all_ids(rated: pl.Series, listed: list[Any]) -> pl.Series:
    """Both together, of the type of the rated ones, or Int64 if a listed one does not fit it."""
    if not rated.dtype.is_integer():
        return pl.concat([rated, pl.Series(listed, dtype=rated.dtype)])
    together = pl.concat([rated.cast(pl.Int64), pl.Series(listed, dtype=pl.Int64)])
    narrow = together.cast(rated.dtype, strict=False)
    return together if narrow.null_count() else narrow
