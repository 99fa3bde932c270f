"""How far two sets of scores lie apart, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from movielora.scoring.score_change import rows_for_change, score_change


def test_the_change_by_hand() -> None:
    change = score_change(np.array([1.0, -0.5, 2.0, 0.25]), np.array([1.5, 0.25, 2.0, -0.25]))
    # after − before: 0.5, 0.75, 0, −0.5; the second and the fourth change sides
    assert change.to_json() == {
        "rows": 4,
        "mean": 0.1875,
        "mean_absolute": 0.4375,
        "largest_absolute": 0.75,
        "decisions_changed": 2,
    }
    assert change.sentence() == ("log-odds differ by 0.438 on average (at most 0.750), and 2 of 4 answers change")


def test_unlike_or_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same rows"):
        score_change(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="not of the same rows"):
        score_change(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(("count", "most"), [(1000, 200), (7, 200), (201, 200), (1, 1)])
def test_rows_are_spread_over_the_whole_file(count: int, most: int) -> None:
    places = rows_for_change(count, most)
    assert len(places) == len(set(places)) == min(count, most)
    assert places[0] == 0
    assert places[-1] == (count - 1 if most > 1 else 0)
    assert max(np.diff(places), default=1) <= count // min(count, most) + 1
