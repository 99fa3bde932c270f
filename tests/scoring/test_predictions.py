"""predictions.jsonl and external scores: read back whole, or refused in one sentence."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.errors import DataError
from movielora.scoring.external import read_scores
from movielora.scoring.predictions import read_predictions, user_codes
from synthetic_comparison import score


def line(row: int, label: Any = "Yes", **more: Any) -> dict[str, Any]:
    return {"row": row, "label": label, "base": score(0.5, 0.9), "adapter": score(-1.0, 0.8), **more}


def write(path: Path, lines: list[Any], tail: str = "") -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines) + tail)
    return path


def test_rows_come_in_order_whatever_the_files_order(tmp_path: Path) -> None:
    found = read_predictions(write(tmp_path / "p.jsonl", [line(1, "No"), line(0, user_id=7)]))
    assert found.labels.tolist() == [True, False]
    assert found.rows.tolist() == [0, 1]
    assert found.columns["adapter"].log_odds.tolist() == [-1.0, -1.0]
    assert found.columns["base"].answer_mass.tolist() == [0.9, 0.9]


@pytest.mark.parametrize("label", [True, "Yes", 1])
def test_labels_in_each_spelling(tmp_path: Path, label: Any) -> None:
    assert read_predictions(write(tmp_path / "p.jsonl", [line(0, label)])).labels.tolist() == [True]


def test_more_models_and_unmeasured_mass_and_no_answer(tmp_path: Path) -> None:
    row = line(0, history_shuffled=score(2.0, 1.0))
    row["base"] |= {"answer_mass": None}
    row["adapter"] |= {"prediction": None, "text": "Perhaps"}
    found = read_predictions(write(tmp_path / "p.jsonl", [row]))
    assert set(found.columns) == {"base", "adapter", "history_shuffled"}
    assert math.isnan(found.columns["base"].answer_mass[0])
    assert not found.columns["adapter"].answered[0]


def broken(changes: dict[str, Any]) -> dict[str, Any]:
    return line(1) | changes


@pytest.mark.parametrize(
    ("lines", "tail", "says"),
    [
        ([], "", "holds 0 rows"),
        ([line(0)], '{"row": 1, "la', "line 2 is torn"),
        ([line(0), line(2)], "", "row 1 is missing, but row 2 exists"),
        ([line(0), line(0)], "", "line 2: row 0 appears twice; it is on line 1 too"),
        ([line(0), broken({"row": "1"})], "", "line 2: `row` must be a whole number"),
        ([line(0), broken({"label": "Maybe"})], "", 'line 2: `label` is "Maybe"'),
        ([line(0), broken({"label": None})], "", "line 2: `label` is null"),
        ([line(0), broken({"adapter": None})], "", "line 2: `adapter` has no score"),
        ([line(0), broken({"base": score(0, 1) | {"log_odds": math.nan}})], "", "line 2: `base.log_odds` is NaN"),
        ([line(0), broken({"base": score(0, 1) | {"log_odds": "1"}})], "", 'line 2: `base.log_odds` is "1"'),
        ([line(0), [1, 2]], "", "line 2 is a list"),
    ],
)
def test_bad_predictions_name_file_line_and_field(tmp_path: Path, lines: list[Any], tail: str, says: str) -> None:
    path = write(tmp_path / "p.jsonl", lines, tail)
    with pytest.raises(DataError) as error:
        read_predictions(path)
    assert says in error.value.message
    assert str(path) in error.value.message
    assert error.value.next_step
    assert "\n" not in error.value.message


def test_a_broken_line_inside_is_not_called_torn(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("{oops\n" + json.dumps(line(0)) + "\n")
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_predictions(path)


def test_users_are_codes_or_missing_with_the_reason() -> None:
    codes, why = user_codes([{"user_id": 5}, {"user_id": "a"}, {"user_id": 5}])
    assert codes is not None
    assert (codes.tolist(), why) == ([0, 1, 0], "")
    assert user_codes([{"user_id": 5}, {}]) == (None, "user_id is missing in 1 of 2 rows")
    assert user_codes([{}, {}]) == (None, "user_id is missing in every row")


LABELS = np.array([True, False])


def test_external_scores_in_each_spelling(tmp_path: Path) -> None:
    lines = [{"label": "Yes", "log_odds": 2.0}, {"label": 0, "probability": 0.2}]
    assert read_scores(write(tmp_path / "s.jsonl", lines), LABELS).log_odds == pytest.approx([2.0, math.log(0.25)])
    named = [{"row": 1, "label": "No", "p_yes": 0.0}, {"row": 0, "label": True, "p_yes": 1.0}]
    assert read_scores(write(tmp_path / "n.jsonl", named), LABELS).p_yes == pytest.approx([1, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([{"label": "Yes", "log_odds": 1}], "has 1 rows, the comparison 2"),
        ([{"label": "No", "log_odds": 1}, {"label": "No", "log_odds": 1}], "line 1: `label` differs from row 0"),
        ([{"label": "Yes"}, {"label": "No", "log_odds": 1}], "line 1 has neither `log_odds` nor `probability`"),
        ([{"label": "Yes", "probability": 1.2}, {"label": "No", "log_odds": 1}], "is 1.2, not between 0 and 1"),
        ([{"label": "Yes", "log_odds": math.nan}, {"label": "No", "log_odds": 1}], "`log_odds` is not a number"),
        ([{"row": 0, "label": "Yes", "log_odds": 1}] * 2, "line 2: row 0 appears twice"),
        ([{"row": 9, "label": "Yes", "log_odds": 1}] * 2, "line 1: `row` must be a whole number from 0 to 1"),
    ],
)
def test_bad_external_scores(tmp_path: Path, lines: list[Any], says: str) -> None:
    with pytest.raises(DataError) as error:
        read_scores(write(tmp_path / "s.jsonl", lines), LABELS)
    assert says in error.value.message
