"""Read a table of ratings fast, and row by row if that fails.

Polars reads the file whole. If it cannot, or a value is missing or out of range, the file is read again row by row,
which either names the line and field of the first mistake or finds none (quoted numbers, spaces, huge ids).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from movielora.errors import DataError
from movielora.sources.fields import HIGHEST_STARS, LATEST_SECONDS, LOWEST_STARS
from movielora.sources.ratings import COLUMNS
from movielora.sources.source_file import SourceFile


def read_table(
    file: SourceFile, whole: Callable[[], pl.DataFrame | None], by_row: Callable[[], pl.DataFrame]
) -> pl.DataFrame:
    """The ratings as `whole` gives them if they are all valid, else as `by_row` does.

    Raises:
        DataError: what `by_row` raises, or the file holds no ratings.
    """
    frame = whole()
    if frame is None or not _all_valid(frame):
        frame = by_row()
    if frame.is_empty():
        raise DataError(f"{file.shown} holds no ratings.", "Fetch the data again.")
    return frame


def read_whole(source: Path | io.BytesIO, names: Sequence[str], **form: Any) -> pl.DataFrame | None:
    """The columns `names`, called as `COLUMNS` says; None if polars cannot read them.

    `form` describes the text and its types to `polars.read_csv`.
    """
    try:
        frame = pl.read_csv(source, **form)
    except pl.exceptions.PolarsError:
        return None
    return frame.select(pl.col(old).alias(new) for old, new in zip(names, COLUMNS, strict=True))


def _all_valid(frame: pl.DataFrame) -> bool:
    if any(frame.null_count().row(0)):
        return False
    in_range = pl.col("rating").is_between(LOWEST_STARS, HIGHEST_STARS).all()
    in_time = pl.col("timestamp").is_between(-LATEST_SECONDS, LATEST_SECONDS).all()
    return bool(frame.select(in_range & in_time).item())
