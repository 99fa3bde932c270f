"""Synthetic ratings in the form of MovieLens, for the demo, the tests and the benchmarks.

A rating is drawn as

    stars = 3.4 + leniency(user) + quality(film) + taste(user, genres of the film) + noise

and rounded to the half stars of MovieLens. Leniency is what a history's ratings show, taste is what its titles show
(each genre has its own words), quality is what the film's other ratings show; so a model can learn from each, and so
can the baselines of `movielora.evaluation`. The same seed gives the same files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from movielora.sources.title_words import ENDINGS, GENRES, OPENINGS, WORDS_OF_GENRE

Floats = npt.NDArray[np.float64]

_MEAN_STARS = 3.4
# Standard deviations in stars, chosen so that the share of liked films in a history of 8 has an AUC of about .76 on
# the test rows, and a regression that also knows film and genre about .05 more.
_LENIENCY, _TASTE, _QUALITY, _NOISE = 0.70, 0.60, 0.42, 0.55
_FIRST_ID = 1
_FIRST_YEAR, _LAST_YEAR = 1950, 2018
_EPOCH_SECONDS = 946_684_800  # 1 January 2000
_YEARS_OF_RATINGS = 18
_YEAR_SECONDS = 31_557_600
# A user rates in sittings, a film every few seconds, and some within one second, as in the real data.
_SITTING = 12
# Users are drawn in blocks so that the (users, films) draw stays below this many numbers.
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class SyntheticSize:
    """How many users and films, and how many ratings a user gives: at least, and on average."""

    users: int = 220
    films: int = 400
    least_ratings: int = 20
    mean_ratings: int = 62


@dataclass(frozen=True)
class _Films:
    titles: list[str]
    genres: list[list[str]]
    memberships: Floats  # (films, genres), each row sums to 1
    quality: Floats  # (films,) stars
    popularity: Floats  # (films,) log of the relative chance to be rated


def write_synthetic_movielens(folder: Path, size: SyntheticSize | None = None, seed: int = 13) -> None:
    """Write `movies.csv` and `ratings.csv` into `folder`, in the form of ml-latest-small.

    Raises:
        OSError: the folder cannot be written.
    """
    size = size or SyntheticSize()
    rng = np.random.default_rng(seed)
    films = _draw_films(size.films, rng)
    folder.mkdir(parents=True, exist_ok=True)
    _write_movies(folder / "movies.csv", films)
    _write_ratings(folder / "ratings.csv", films, size, rng)


def synthetic_titles(count: int, seed: int = 13) -> list[str]:
    """`count` different synthetic titles, of all genres in turn."""
    rng = np.random.default_rng(seed)
    taken: set[str] = set()
    return [_draw_title(GENRES[film % len(GENRES)], taken, rng) for film in range(count)]


def _draw_films(count: int, rng: np.random.Generator) -> _Films:
    memberships = np.zeros((count, len(GENRES)))
    titles: list[str] = []
    taken: set[str] = set()
    for film in range(count):
        chosen = rng.choice(len(GENRES), size=1 + int(rng.random() < 0.4), replace=False)
        memberships[film, chosen] = 1 / len(chosen)
        titles.append(_draw_title(GENRES[chosen[0]], taken, rng))
    genres = [[GENRES[place] for place in np.flatnonzero(row)] for row in memberships]
    quality = rng.normal(0, _QUALITY, count)
    popularity = rng.normal(0, 1, count) + quality  # good films are seen more
    return _Films(titles, genres, memberships, quality, popularity)


def _draw_title(genre: str, taken: set[str], rng: np.random.Generator) -> str:
    """`Haunted Garden, The (1987)`: a word of the genre, a common one, articles as MovieLens writes them."""
    while True:
        first, last = rng.choice(WORDS_OF_GENRE[genre]), rng.choice(ENDINGS)
        opening = rng.choice(OPENINGS)
        words = f"{first} {last}" + (f", {opening}" if opening else "")
        title = f"{words} ({rng.integers(_FIRST_YEAR, _LAST_YEAR + 1)})"
        if title not in taken:
            taken.add(title)
            return title


def _write_movies(path: Path, films: _Films) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["movieId", "title", "genres"])
        for movie_id, (title, genres) in enumerate(zip(films.titles, films.genres, strict=True), _FIRST_ID):
            writer.writerow([movie_id, title, "|".join(genres)])


def _write_ratings(path: Path, films: _Films, size: SyntheticSize, rng: np.random.Generator) -> None:
    block = max(1, _BLOCK_CELLS // size.films)
    with path.open("wb") as file:
        for first in range(0, size.users, block):
            users = np.arange(first, min(first + block, size.users)) + _FIRST_ID
            _draw_ratings(users, films, size, rng).write_csv(file, include_header=first == 0, float_precision=1)


def _draw_ratings(
    users: npt.NDArray[np.int64], films: _Films, size: SyntheticSize, rng: np.random.Generator
) -> pl.DataFrame:
    """Ratings of some users, as the rows of ratings.csv: by user, then by film, as MovieLens orders them."""
    leniency = rng.normal(0, _LENIENCY, len(users))
    taste = rng.normal(0, _TASTE, (len(users), len(GENRES)))
    liking = taste @ films.memberships.T  # (users, films) stars
    counts = _rating_counts(len(users), len(films.titles), size, rng)
    # Films in the order a user meets them: a draw without replacement, weighted by popularity and liking (Gumbel's
    # trick: the largest of log-weight + Gumbel noise is such a draw).
    drawn = films.popularity + 0.5 * liking + rng.gumbel(size=liking.shape)
    met = np.argsort(-drawn, axis=1)
    user = np.repeat(np.arange(len(users)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    film = met[user, step]
    stars = _MEAN_STARS + leniency[user] + films.quality[film] + liking[user, film] + rng.normal(0, _NOISE, len(user))
    frame = pl.DataFrame(
        {
            "userId": users[user],
            "movieId": film + _FIRST_ID,
            "rating": np.clip(np.round(stars * 2) / 2, 0.5, 5.0),
            "timestamp": _timestamps(user, step, len(users), rng),
        }
    )
    return frame.sort("userId", "movieId")


def _rating_counts(users: int, films: int, size: SyntheticSize, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Ratings of each user: the least, and a long tail above it."""
    above = rng.exponential(max(0, size.mean_ratings - size.least_ratings), users)
    return np.minimum(films, size.least_ratings + above.astype(np.int64))


def _timestamps(
    user: npt.NDArray[np.int64], step: npt.NDArray[np.int64], users: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Unix seconds, ascending with `step` for each user: sittings weeks apart, films seconds apart, some at once."""
    begin = _EPOCH_SECONDS + rng.integers(0, _YEARS_OF_RATINGS * _YEAR_SECONDS, users)
    gaps = rng.integers(0, 12, len(user))
    gaps[step % _SITTING == 0] += rng.integers(86_400, 30 * 86_400, int((step % _SITTING == 0).sum()))
    elapsed = np.cumsum(gaps)
    elapsed -= np.repeat(elapsed[step == 0], np.bincount(user, minlength=users))
    return begin[user] + elapsed
