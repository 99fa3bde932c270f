"""Read and validate predictions.jsonl: every row once, every score a number.

A line is `{"row", "label", "<column>": {"log_odds", "p_yes", "answer_mass", "prediction"}, …}` with what the record
had. `row` counts from 0 in the test file's order; of a sample, numbers are missing. Every object with a `log_odds` is a
column: "base", "adapter", a control, a run by its name, a file of scores by its name. After `compare --mode generate` a
column also has `text`, and `prediction` is null if the text holds no answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from movielora.errors import DataError
from movielora.scoring.log_odds import Ints
from movielora.scoring.score_table import Scores, ScoreTable

_AGAIN = "run the same movielora compare again; it continues where it was"
_AFRESH = "delete the folder and run movielora compare again"
_YES = (True, "Yes", "yes", 1)
_NO = (False, "No", "no", 0)


def read_predictions(path: Path, *, sample: bool = False) -> ScoreTable:
    """Read predictions.jsonl; its columns are those of the first line. Of a `sample` of the test file rows are missing.

    Raises DataError, naming file, line and field: no file, no rows, a torn or broken line, a missing, doubled or
    wrong row number, a label that is neither Yes nor No, a score that is missing or no number.
    """
    lines: list[tuple[int, dict[str, Any]]] = list(read_objects(path, _AFRESH))
    if not lines:
        raise DataError(f"{path} holds 0 rows", _AFRESH)
    _require_each_row_once(path, lines, sample=sample)
    lines.sort(key=lambda line: line[1]["row"])
    columns = _columns(lines[0][1])
    if not columns:
        raise DataError(f"{path} line {lines[0][0]} holds no score", _AFRESH)
    return ScoreTable(
        path=path,
        rows=np.array([record["row"] for _, record in lines], dtype=np.int64),
        labels=np.array([read_label(record.get("label"), f"{path} line {number}") for number, record in lines]),
        columns={name: _scores(path, lines, name) for name in columns},
        records=[record for _, record in lines],
    )


def read_label(value: Any, place: str) -> bool:
    """True for Yes, which may be written true, "Yes" or 1; False for No. Raises DataError naming `place`."""
    if isinstance(value, bool | str | int | float):
        if value in _YES:
            return True
        if value in _NO:
            return False
    shown = json.dumps(value, ensure_ascii=False, default=str)[:60]
    raise DataError(f"{place}: `label` is {shown}, neither Yes nor No", "write Yes or No into `label`")


def user_codes(records: list[dict[str, Any]]) -> tuple[Ints | None, str]:
    """Users as whole numbers from 0, (rows,); or None with the reason: intervals then resample rows."""
    ids = [record.get("user_id") for record in records]
    missing = sum(value is None for value in ids)
    if missing:
        share = "every row" if missing == len(ids) else f"{missing:,} of {len(ids):,} rows"
        return None, f"user_id is missing in {share}"
    code: dict[str, int] = {}
    return np.array([code.setdefault(str(value), len(code)) for value in ids], dtype=np.int64), ""


def read_objects(path: Path, next_step: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSONL file with their line numbers, from 1; blank lines are skipped.

    Raises DataError naming the line; a last line that has no end of line and does not parse was torn.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", next_step) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", next_step) from None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):
                raise DataError(f"{path} line {number} is torn: its writer was interrupted", _AGAIN) from None
            raise DataError(f"{path} line {number} is not JSON", next_step) from None
        if not isinstance(value, dict):
            raise DataError(f"{path} line {number} is a {type(value).__name__}, not a row", next_step)
        yield number, value


def _require_each_row_once(path: Path, lines: list[tuple[int, dict[str, Any]]], *, sample: bool) -> None:
    seen: dict[int, int] = {}
    for number, record in lines:
        row = record.get("row")
        if not isinstance(row, int) or isinstance(row, bool) or row < 0:
            raise DataError(f"{path} line {number}: `row` must be a whole number from 0", _AFRESH)
        if row in seen:
            raise DataError(f"{path} line {number}: row {row} appears twice; it is on line {seen[row]} too", _AFRESH)
        seen[row] = number
    missing = next((row for row in range(len(seen)) if row not in seen), None)
    if missing is not None and not sample:
        raise DataError(f"{path}: row {missing} is missing, but row {max(seen)} exists", _AFRESH)


def _columns(record: dict[str, Any]) -> list[str]:
    return [name for name, value in record.items() if isinstance(value, dict) and "log_odds" in value]


def _scores(path: Path, lines: list[tuple[int, dict[str, Any]]], column: str) -> Scores:
    log_odds, mass = np.empty(len(lines)), np.empty(len(lines))
    answered, agrees = np.ones(len(lines), dtype=bool), np.ones(len(lines), dtype=bool)
    for index, (number, record) in enumerate(lines):
        score = record.get(column)
        if not isinstance(score, dict):
            raise DataError(f"{path} line {number}: `{column}` has no score", _AFRESH)
        log_odds[index] = _number(score.get("log_odds"), f"{path} line {number}: `{column}.log_odds`")
        mass_value = score.get("answer_mass")
        mass[index] = math.nan if mass_value is None else _number(mass_value, f"{path} line {number}: `answer_mass`")
        said = score.get("prediction")
        answered[index] = said is not None or "prediction" not in score
        agrees[index] = said == ("Yes" if log_odds[index] > 0 else "No")
    generated = all("text" in record[column] for _, record in lines)
    return Scores(log_odds, mass, answered, agrees if generated else None)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{place} is {json.dumps(value, default=str)[:40]}, not a number", _AFRESH)
    if math.isnan(value):
        raise DataError(f"{place} is NaN: the model did not score this row", "look at the adapter's training loss")
    return float(value)
