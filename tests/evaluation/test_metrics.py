"""Each metric against a value worked by hand, and against scikit-learn where it has one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from movielora.evaluation.metrics.formulas import (
    ALL_METRICS,
    ANSWER_METRICS,
    all_metrics,
    answer_metrics,
    auc,
    metrics_from_sums,
    row_terms,
    uauc,
    user_aucs,
    weighted_auc,
)
from movielora.scoring.log_odds import log_odds_of, probability

# Five rows whose metrics fit on a page. P(Yes) = .8, .6, .5, .25, .1 ; truth = Y, N, Y, N, Y.
# Decisions at .5 (a tie is No): Y, Y, N, N, N. TP 1, FP 1, FN 2, TN 1.
P_YES = np.array([0.8, 0.6, 0.5, 0.25, 0.1])
LABELS = np.array([True, False, True, False, True])
LOG_ODDS = np.array([math.log(4), math.log(1.5), 0.0, -math.log(3), -math.log(9)])


def test_values_worked_by_hand() -> None:
    found = all_metrics(LABELS, LOG_ODDS, np.array([1.0, 0.9, 0.8, 0.7, 0.6]), np.array([7, 7, 3, 3, 3]))
    assert found["accuracy"] == pytest.approx(2 / 5)
    assert found["precision"] == pytest.approx(1 / 2)
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx(2 / 5)
    # Pairs (liked, disliked): .8 beats .6 and .25; .5 beats .25 only; .1 beats none: 3 of 6.
    assert found["auc"] == pytest.approx(3 / 6)
    # User 7: .8 over .6, AUC 1. User 3: .5 over .25 yes, .1 over .25 no, AUC 1/2.
    assert found["uauc"] == pytest.approx(0.75)
    assert found["log_loss"] == pytest.approx(
        -(math.log(0.8) + math.log(0.4) + math.log(0.5) + math.log(0.75) + math.log(0.1)) / 5
    )
    assert found["brier"] == pytest.approx((0.04 + 0.36 + 0.25 + 0.0625 + 0.81) / 5)
    # Five different bins of width 1/15, so the sum of |y − p| over 5.
    assert found["ece"] == pytest.approx((0.2 + 0.6 + 0.5 + 0.25 + 0.9) / 5)
    assert found["answer_mass"] == pytest.approx(0.8)


def test_ece_averages_inside_a_bin_before_the_distance() -> None:
    # .41 and .45 share the bin [6/15, 7/15): |1 + 0 − .86| / 2.
    found = all_metrics(np.array([True, False]), log_odds_of(np.array([0.41, 0.45])))
    assert found["ece"] == pytest.approx(0.07)


def test_a_tie_at_the_threshold_is_no() -> None:
    assert answer_metrics(np.array([True]), np.array([0.0]))["accuracy"] == 0.0
    assert answer_metrics(np.array([False]), np.array([0.0]))["accuracy"] == 1.0
    assert answer_metrics(np.array([True]), np.array([1.5]), threshold=1.5)["accuracy"] == 0.0


def test_the_keys_are_the_contract() -> None:
    assert tuple(answer_metrics(LABELS, LOG_ODDS)) == ANSWER_METRICS
    assert tuple(all_metrics(LABELS, LOG_ODDS)) == ALL_METRICS


@pytest.mark.parametrize("label", [True, False])
def test_one_class_has_no_auc_and_does_not_crash(label: bool) -> None:
    found = all_metrics(np.full(3, label), np.array([1.0, 0.5, -1.0]), users=np.array([1, 1, 2]))
    assert math.isnan(found["auc"])
    assert math.isnan(found["uauc"])
    assert math.isfinite(found["log_loss"])


@pytest.mark.parametrize("log_odds", [np.array([]), np.array([0.3, np.nan])])
def test_no_rows_or_a_nan_score_leave_everything_undefined(log_odds: np.ndarray) -> None:
    found = all_metrics(np.zeros(len(log_odds), dtype=bool), log_odds)
    assert all(math.isnan(value) for value in found.values())


def test_unmeasured_answer_mass_and_users_are_nan() -> None:
    found = all_metrics(LABELS, LOG_ODDS)
    assert math.isnan(found["answer_mass"])
    assert math.isnan(found["uauc"])


def test_extreme_log_odds_stay_exact() -> None:
    found = answer_metrics(np.array([True, False]), np.array([-1000.0, -1000.0]))
    assert found["log_loss"] == pytest.approx(500.0)
    assert probability(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


@st.composite
def scored_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows with both answers and, often, tied scores."""
    count = draw(st.integers(2, 40))
    scores = draw(st.lists(st.integers(-6, 6).map(lambda n: n / 2), min_size=count, max_size=count))
    labels = draw(st.lists(st.booleans(), min_size=count - 2, max_size=count - 2))
    return np.array([True, False, *labels]), np.array(scores)


@given(scored_rows())
def test_agrees_with_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, log_odds = rows
    said, p_yes = log_odds > 0, probability(log_odds)
    found = all_metrics(labels, log_odds)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, said))
    assert found["precision"] == pytest.approx(reference.precision_score(labels, said, zero_division=0))
    assert found["recall"] == pytest.approx(reference.recall_score(labels, said, zero_division=0))
    assert found["f1"] == pytest.approx(reference.f1_score(labels, said, zero_division=0))
    assert found["auc"] == pytest.approx(reference.roc_auc_score(labels, log_odds))
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, p_yes, labels=[False, True]))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(labels, p_yes))


@given(scored_rows(), st.integers(0, 2**32 - 1))
def test_weighted_auc_agrees_with_scikit_learn(rows: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, log_odds = rows
    weights = np.random.default_rng(seed).integers(1, 4, size=(3, len(labels))).astype(float)
    expected = [reference.roc_auc_score(labels, log_odds, sample_weight=row) for row in weights]
    assert weighted_auc(labels, log_odds, weights) == pytest.approx(expected)


@given(scored_rows(), st.integers(0, 2**32 - 1))
def test_uauc_is_the_mean_of_each_users_auc(rows: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, log_odds = rows
    users = np.random.default_rng(seed).integers(0, 4, size=len(labels)) * 11
    ids, values = user_aucs(labels, log_odds, users)
    expected = [auc(labels[users == one], log_odds[users == one]) for one in ids]
    assert values == pytest.approx(expected, nan_ok=True)
    known = [value for value in expected if not math.isnan(value)]
    assert uauc(labels, log_odds, users) == pytest.approx(np.mean(known) if known else math.nan, nan_ok=True)


def test_sums_over_groups_give_the_metrics_of_each_group() -> None:
    terms = row_terms(LABELS, LOG_ODDS)
    halves = np.stack([terms[:2].sum(axis=0), terms[2:].sum(axis=0)])
    both = metrics_from_sums(halves)
    for name in ("accuracy", "f1", "log_loss", "ece"):
        apart = [all_metrics(LABELS[cut], LOG_ODDS[cut])[name] for cut in (slice(0, 2), slice(2, 5))]
        assert both[name] == pytest.approx(apart)
