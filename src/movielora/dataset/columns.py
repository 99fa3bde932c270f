"""The columns of a dataset as Parquet files: `interactions.parquet` and `films.parquet`.

    interactions  user, item (ids), rating (stars), time (unix seconds), split; user after user, each in time order
    films         item, title, genres, train_ratings, train_likes; by ascending item

`split` is `train`, `eval` or `test` for an example, `history` for a rating with too few before it to be an example, and
null for an example that a cap left out. 32 million ratings are about 0.3 GB.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from movielora.dataset.films import Films
from movielora.dataset.splits import SPLITS, Splits
from movielora.dataset.timelines import Integers, Timelines
from movielora.storage.atomic import sync

HISTORY = "history"
_CODES = (*SPLITS, HISTORY)
_SPLIT = pl.Enum(_CODES)
_HISTORY_CODE, _LEFT_OUT_CODE = len(SPLITS), len(_CODES)


def write_interactions(path: Path, timelines: Timelines, films: Films, splits: Splits, history_len: int) -> None:
    """Write all ratings with the split of each. Raises OSError."""
    names = pl.Series("split", [*_CODES, None], dtype=_SPLIT)
    lengths = np.diff(timelines.starts)
    frame = pl.DataFrame(
        [
            _repeated("user", timelines.users, lengths),
            _taken("item", films.ids, timelines.item),
            pl.Series("rating", timelines.rating),
            pl.Series("time", timelines.timestamp),
            names.gather(split_codes(timelines, splits, history_len)),
        ]
    )
    _write(frame, path)


def write_films(path: Path, films: Films, train_ratings: Integers, train_likes: Integers) -> None:
    """Write the films, with how many training examples ask about each and how many of those say Yes. Raises OSError."""
    frame = pl.DataFrame(
        [
            _ids("item", films.ids),
            pl.Series("title", films.titles, dtype=pl.String),
            pl.Series("genres", [list(genres) for genres in films.genres], dtype=pl.List(pl.String)),
            pl.Series("train_ratings", train_ratings, dtype=pl.Int64),
            pl.Series("train_likes", train_likes, dtype=pl.Int64),
        ]
    )
    _write(frame, path)


def _write(frame: pl.DataFrame, path: Path) -> None:
    try:
        frame.write_parquet(path, compression="zstd")
    except pl.exceptions.PolarsError as error:  # a full disk comes as text: "... (os error 28)"
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error
        raise
    sync(path)


def split_codes(timelines: Timelines, splits: Splits, history_len: int) -> npt.NDArray[np.uint8]:
    """For each rating the place of its split in train, eval, test, history, and none of them."""
    codes = np.full(len(timelines.item), _LEFT_OUT_CODE, np.uint8)
    lengths = np.diff(timelines.starts)
    for rank in range(history_len):
        codes[timelines.starts[:-1][lengths > rank] + rank] = _HISTORY_CODE
    for code, name in enumerate(SPLITS):
        codes[splits.events[name]] = code
    return codes


def read_films(path: Path) -> Films:
    """The films of `films.parquet`.

    Raises PolarsError, OSError, or ValueError if the file does not hold films in ascending order.
    """
    frame = pl.read_parquet(path, columns=["item", "title", "genres"])
    item = frame["item"]
    if item.dtype != pl.String and not item.dtype.is_integer():
        raise ValueError(f"`item` is {item.dtype}, neither whole numbers nor text")
    if frame.null_count().sum_horizontal().item():
        raise ValueError("a film lacks its item, title or genres")
    ids = np.array(item.to_list(), dtype=object) if item.dtype == pl.String else item.to_numpy()
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError("the items are not in ascending order")
    return Films(ids, frame["title"].to_list(), [tuple(genres) for genres in frame["genres"].to_list()])


def read_interactions(path: Path, films: Films) -> tuple[Timelines, dict[str, Integers]]:
    """The timelines, and the positions in them of each split's examples, ascending.

    One column is in memory at a time beside the arrays made: 32 million ratings need about 0.9 GB.

    Raises PolarsError, OSError, or ValueError if the columns do not fit each other or the films.
    """
    users, starts = _user_blocks(_column(path, "user"))
    try:
        item = films.places(_column(path, "item"))
    except KeyError:
        raise ValueError("it rates a film that films.parquet does not list") from None
    timelines = Timelines(
        users=users,
        starts=starts,
        item=item,
        rating=_column(path, "rating").cast(pl.Float64).to_numpy(),
        timestamp=_column(path, "time").cast(pl.Int64).to_numpy(),
    )
    # as text: a file written by another program may hold the names in any encoding
    codes = _column(path, "split", has_nulls=True).cast(_SPLIT).to_physical().fill_null(_LEFT_OUT_CODE).to_numpy()
    return timelines, {name: np.flatnonzero(codes == code) for code, name in enumerate(SPLITS)}


def _column(path: Path, name: str, *, has_nulls: bool = False) -> pl.Series:
    column = pl.read_parquet(path, columns=[name])[name].rechunk()
    if not has_nulls and column.null_count():
        raise ValueError(f"`{name}` has empty fields")
    return column


def _user_blocks(user: pl.Series) -> tuple[npt.NDArray[Any], Integers]:
    """The distinct users in order, and where the block of each starts, with the end of the last."""
    if user.dtype == pl.String:
        changes = (user != user.shift()).fill_null(True).to_numpy()
    elif user.dtype.is_integer():
        numbers = user.to_numpy()
        changes = np.concatenate(([True], numbers[1:] != numbers[:-1]))[: len(numbers)]
    else:
        raise ValueError(f"`user` is {user.dtype}, neither whole numbers nor text")
    first = np.flatnonzero(changes)
    blocks = user.gather(first)
    if blocks.n_unique() != len(blocks):
        raise ValueError("the ratings of a user are not together")
    users = np.array(blocks.to_list(), dtype=object) if user.dtype == pl.String else blocks.to_numpy()
    return users, np.append(first, len(user)).astype(np.int64)


def _ids(name: str, ids: npt.NDArray[Any]) -> pl.Series:
    return pl.Series(name, ids.tolist(), dtype=pl.String) if ids.dtype == object else pl.Series(name, ids)


def _taken(name: str, ids: npt.NDArray[Any], places: npt.NDArray[Any]) -> pl.Series:
    return _ids(name, ids).gather(places) if ids.dtype == object else pl.Series(name, ids[places])


def _repeated(name: str, ids: npt.NDArray[Any], counts: Integers) -> pl.Series:
    if ids.dtype == object:
        return _taken(name, ids, np.repeat(np.arange(len(ids), dtype=np.uint32), counts))
    return pl.Series(name, np.repeat(ids, counts))
