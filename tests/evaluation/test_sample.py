"""A sample of the test rows is of as many users as possible, the same for every run, and in the file's order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.errors import DataError
from movielora.evaluation.judged.sample import choose_rows, sample_over_users
from movielora.evaluation.saved.example_rows import of_different_users
from movielora.examples.example import Example
from movielora.examples.example_set import ListedExamples
from movielora.scoring.external import read_scores


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.data())
def test_users_have_as_many_rows_each_as_is_possible(users: list[int], data: st.DataObject) -> None:
    most = data.draw(st.integers(1, len(users)))
    rows = sample_over_users(np.array(users), most).tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == most
    available, taken = Counter(users), Counter(users[row] for row in rows)
    # Nobody has two rows more than somebody who has rows left.
    left = [taken[user] for user in available if taken[user] < available[user]]
    assert not left or max(taken.values()) <= min(left) + 1


def test_every_row_of_a_user_may_be_taken() -> None:
    """Not the first ones: 200 seeds take each of the 10 rows of both users."""
    users = np.repeat([0, 1], 10)
    seen = {row for seed in range(200) for row in sample_over_users(users, 2, seed).tolist()}
    assert seen == set(range(20))
    assert sample_over_users(users, 6).tolist() == sample_over_users(users, 6).tolist()


def examples(users: list[str | None]) -> ListedExamples:
    return ListedExamples("rows", [Example((), "Film", True, f"row {n}", user=user) for n, user in enumerate(users)])


def test_what_is_said_of_a_sample() -> None:
    chosen = choose_rows(examples(["a", "a", "b", "b", "c"]), 3)
    assert chosen.to_json() == {"rows": 3, "of": 5, "users": 3, "seed": 20_260_101}
    assert choose_rows(examples(["a", "a", None]), 2).to_json()["users"] is None
    assert choose_rows(examples(["a", "b"]), 2).to_json() is None
    assert choose_rows(examples(["a", "b"]), None).places.tolist() == [0, 1]
    assert choose_rows(examples([None, None, None]), 2).to_json()["users"] is None


@pytest.mark.parametrize(
    ("users", "most", "places"),
    [
        (["1", "1", "1", "2", "3"], 3, [0, 3, 4]),
        (["1", "1", "2"], 3, [0, 2, 1]),
        ([None, None, "1", "1"], 3, [0, 1, 2]),
        ([1, "1", 2], 2, [0, 2]),
        ([], 3, []),
        (["1"], 0, []),
    ],
)
def test_shown_rows_are_of_different_users(users: list[str | None], most: int, places: list[int]) -> None:
    assert of_different_users(users, most) == places


LABELS = np.array([True, False, True, False])
ROWS = np.array([1, 3])


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def line(row: int) -> dict[str, object]:
    return {"label": bool(LABELS[row]), "log_odds": float(10 * row)}


@pytest.mark.parametrize(
    "lines",
    [
        [line(row) for row in range(4)],
        [line(row) | {"row": row} for row in (3, 2, 1, 0)],
        [line(row) | {"row": row} for row in (3, 1)],
        [line(row) | {"row": row} for row in (0, 3, 1)],
    ],
    ids=["all rows", "all by number", "the sample by number", "more than the sample"],
)
def test_external_scores_of_a_sample_are_found_by_their_row(tmp_path: Path, lines: list[dict[str, object]]) -> None:
    assert read_scores(write(tmp_path / "s.jsonl", lines), LABELS, ROWS).log_odds.tolist() == [10.0, 30.0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(1), line(3)], "has 2 rows, the test file 4, and a sample of 2 is compared"),
        ([line(1) | {"row": 1}, line(2) | {"row": 2}], "has no score of row 3"),
        ([line(1) | {"row": 3}, line(3) | {"row": 3}], "row 3 appears twice"),
        ([line(1) | {"row": 0}, line(3) | {"row": 3}], "`label` differs from row 0"),
        ([line(1) | {"row": 4}, line(3) | {"row": 3}], "whole number from 0 to 3"),
    ],
)
def test_external_scores_that_fit_no_sample_are_named(
    tmp_path: Path, lines: list[dict[str, object]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_scores(write(tmp_path / "s.jsonl", lines), LABELS, ROWS)
