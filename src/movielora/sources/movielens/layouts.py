"""The layouts of MovieLens: how each generation writes its two files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How one generation of MovieLens writes its two files."""

    name: str
    ratings: str
    movies: str
    rating_separator: str
    movie_separator: str


LAYOUTS = (
    Layout("csv", "ratings.csv", "movies.csv", ",", ","),
    Layout("dat", "ratings.dat", "movies.dat", "::", "::"),
    Layout("ml-100k", "u.data", "u.item", "\t", "|"),
)
