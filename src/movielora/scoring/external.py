"""Read external scores: any other system, compared on the same rows.

A JSONL file, one line a row of the test file in its order (or with `row`, the number in it, counting from 0):
`{"label": "Yes", "log_odds": 1.2}` or `{"label": "Yes", "probability": 0.77}`; `p_yes` is read too.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from movielora.errors import DataError
from movielora.scoring.log_odds import Bools, Ints
from movielora.scoring.predictions import read_label, read_objects
from movielora.scoring.score_table import Scores

_FORM = 'a line is {"label": "Yes", "log_odds": 1.2} or {"label": "Yes", "probability": 0.77}'
# A probability of exactly 0 or 1 is read as this close to it: log loss stays finite.
_SURE = 1e-6


def read_scores(path: Path, labels: Bools, rows: Ints | None = None) -> Scores:
    """Read the scores in `path` of a test file with these `labels` (all its rows,), in the rows' order.

    `rows` are the row numbers of a sample of it: the file may hold all rows, or those with `row` in each line; what is
    not in the sample is left out. Raises DataError, naming file, line and field: another number of rows, a row twice, a
    label that differs from the test file's, a score that is missing, NaN or no probability.
    """
    lines = list(read_objects(path, _FORM))
    chosen = np.arange(len(labels)) if rows is None else rows
    _require_rows(path, lines, len(labels), chosen, sample=rows is not None)
    log_odds = np.full(len(labels), np.nan)
    for place, (number, record) in enumerate(lines):
        where = f"{path} line {number}"
        row = _row(record, place, len(labels), where)
        if not math.isnan(log_odds[row]):
            raise DataError(f"{where}: row {row} appears twice", "score every row once")
        if read_label(record.get("label"), where) != labels[row]:
            raise DataError(
                f"{where}: `label` differs from row {row} of the test file",
                "score the rows of the same test file, in its order",
            )
        log_odds[row] = _log_odds(record, where)
    missing = chosen[np.isnan(log_odds[chosen])]
    if len(missing):
        raise DataError(f"{path} has no score of row {missing[0]} of the test file", "score every row that is compared")
    return Scores(log_odds[chosen], np.full(len(chosen), np.nan), np.ones(len(chosen), dtype=bool))


def _require_rows(
    path: Path, lines: list[tuple[int, dict[str, Any]]], total: int, chosen: Ints, *, sample: bool
) -> None:
    """All rows of the test file; or, of a sample, rows that say which they are."""
    if len(lines) == total:
        return
    if not sample:
        raise DataError(
            f"{path} has {len(lines):,} rows, the comparison {total:,}",
            "score every row of the test file, once, in its order",
        )
    if any("row" not in record for _, record in lines):
        raise DataError(
            f"{path} has {len(lines):,} rows, the test file {total:,}, and a sample of {len(chosen):,} is compared",
            "score every row of the test file in its order, or write its number in the test file into `row`",
        )


def _row(record: dict[str, Any], place: int, count: int, where: str) -> int:
    row = record.get("row", place)
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < count:
        raise DataError(f"{where}: `row` must be a whole number from 0 to {count - 1:,}", _FORM)
    return row


def _log_odds(record: dict[str, Any], where: str) -> float:
    field = next((name for name in ("log_odds", "probability", "p_yes") if name in record), None)
    if field is None:
        raise DataError(f"{where} has neither `log_odds` nor `probability`", _FORM)
    value = record[field]
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise DataError(f"{where}: `{field}` is not a number", _FORM)
    if field == "log_odds":
        return float(value)
    if not 0 <= value <= 1:
        raise DataError(f"{where}: `{field}` is {value:g}, not between 0 and 1", _FORM)
    p_yes = min(max(float(value), _SURE), 1 - _SURE)
    return math.log(p_yes) - math.log1p(-p_yes)
