"""Temperatures and thresholds whose answer is known beforehand; McNemar and Holm against their tables."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from movielora.evaluation.metrics.calibration import best_f1_threshold, fit_temperature, reliability
from movielora.evaluation.metrics.mcnemar import mcnemar_exact
from movielora.evaluation.metrics.slices import holm
from movielora.scoring.log_odds import log_odds_of, probability


def test_temperature_undoes_a_known_overconfidence() -> None:
    # Nine of ten liked at P = .9 is calibrated; three times the log-odds need a temperature of 3.
    labels = np.array([True] * 9 + [False])
    honest = np.full(10, math.log(9))
    assert fit_temperature(labels, 3 * honest) == pytest.approx(3, rel=1e-3)
    assert fit_temperature(labels, honest / 2) == pytest.approx(0.5, rel=1e-3)


def test_scores_that_point_the_wrong_way_end_at_the_hottest() -> None:
    assert fit_temperature(np.array([True, False]), np.array([-2.0, 2.0])) == pytest.approx(1000, rel=0.01)


def test_the_f1_best_threshold_by_hand() -> None:
    # Cut after the third: TP 2, said 3, is 3 → 4/6. After the fourth: TP 3 → 6/7, the best. Half way of .2 and −1.
    labels = np.array([True, False, True, True, False])
    assert best_f1_threshold(labels, np.array([3.0, 2.0, 1.0, 0.2, -1.0])) == pytest.approx(-0.4)


def test_no_yes_or_one_score_only() -> None:
    assert best_f1_threshold(np.array([False, False]), np.array([1.0, 2.0])) == 0.0
    assert best_f1_threshold(np.array([True, False]), np.array([1.0, 1.0])) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=30))
def test_no_threshold_is_better(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([label for label, _ in rows])
    scores = np.array([float(score) for _, score in rows])

    def f1(threshold: float) -> float:
        return float(f1_score(labels, scores > threshold, zero_division=0))

    best = f1(best_f1_threshold(labels, scores))
    assert all(f1(cut) <= best + 1e-12 for cut in np.arange(-4, 4, 0.5))


def test_reliability_bins_hold_every_row_once() -> None:
    bins = reliability(np.array([True, False, True]), log_odds_of(np.array([0.41, 0.45, 0.97])))
    assert [(b["rows"], round(b["mean_p_yes"], 3), b["share_yes"]) for b in bins] == [(2, 0.43, 0.5), (1, 0.97, 1.0)]
    assert bins[0]["low"] == pytest.approx(6 / 15)
    assert reliability(np.array([True]), np.array([np.inf]))[0]["high"] == 1.0


def test_mcnemar_is_the_binomial_of_discordant_rows() -> None:
    # 1 fixed, 5 broken: 2 · (C(6,0) + C(6,1)) / 2^6 = 14/64.
    base = np.array([False] + [True] * 5 + [True] * 4)
    adapter = np.array([True] + [False] * 5 + [True] * 4)
    found = mcnemar_exact(base, adapter)
    assert (found["fixed"], found["broken"]) == (1, 5)
    assert found["p_value"] == pytest.approx(14 / 64)
    assert "independent" in found["caveat"]
    assert mcnemar_exact(base, base)["p_value"] == 1.0


def test_holm_by_hand() -> None:
    # Sorted .01, .02, .03, .04 → 4·.01, max(.04, 3·.02), max(.06, 2·.03), max(.06, .04).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_probability_and_log_odds_are_inverse() -> None:
    p_yes = np.array([0.001, 0.3, 0.5, 0.999])
    assert probability(log_odds_of(p_yes)) == pytest.approx(p_yes)
