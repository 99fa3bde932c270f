"""The bootstrap against a plain loop, against theory, and against itself."""

import math

import numpy as np
import pytest

from movielora.evaluation.metrics.bootstrap import Resampling, Scored, draw_metrics, interval
from movielora.evaluation.metrics.formulas import ALL_METRICS, all_metrics


def invented_rows(rows: int, users: int, seed: int = 3) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    owner = generator.integers(0, users, rows)
    labels = generator.random(rows) < 0.3 + 0.4 * (owner % 2)
    log_odds = np.round(labels + generator.normal(0, 1.2, rows), 1)
    return labels, log_odds, owner


def test_weights_are_the_same_as_copying_rows() -> None:
    """Each resample, redone the slow way: the rows of drawn users, copied as often as drawn."""
    labels, log_odds, users = invented_rows(60, 8)
    mass = np.linspace(0.5, 1, 60)
    resampling = Resampling.over(users, 60, resamples=20)
    found = draw_metrics(labels, {"m": Scored(log_odds, mass, threshold=0.3)}, resampling)["m"]
    weights = np.concatenate(list(resampling.blocks()))
    for draw in range(20):
        copies = [(user, copy) for user in range(8) for copy in range(int(weights[draw, user]))]
        rows = np.concatenate([np.flatnonzero(users == user) for user, _ in copies])
        # Copies of a user stay separate users for uAUC.
        names = np.concatenate([np.full((users == user).sum(), i) for i, (user, _) in enumerate(copies)])
        slow = all_metrics(labels[rows], log_odds[rows], mass[rows], names, threshold=0.3)
        for metric in ALL_METRICS:
            assert found[metric][draw] == pytest.approx(slow[metric], nan_ok=True), metric


def test_each_resample_draws_as_many_users_as_there_are() -> None:
    users = np.array([5, 5, 9, 2])
    weights = np.concatenate(list(Resampling.over(users, 4, resamples=50).blocks()))
    assert weights.shape == (50, 3)
    assert (weights.sum(axis=1) == 3).all()


def test_the_same_seed_gives_the_same_digits_and_another_does_not() -> None:
    labels, log_odds, users = invented_rows(200, 20)
    draws = [
        draw_metrics(labels, {"m": Scored(log_odds)}, Resampling.over(users, 200, seed=seed, resamples=100))["m"]["auc"]
        for seed in (1, 1, 2)
    ]
    assert draws[0].tolist() == draws[1].tolist()
    assert draws[0].tolist() != draws[2].tolist()


def test_rows_are_resampled_where_there_are_no_users_and_the_width_is_the_binomials() -> None:
    labels, log_odds, _ = invented_rows(1000, 10)
    resampling = Resampling.over(None, 1000)
    assert (resampling.unit, resampling.units) == ("rows", 1000)
    low, high = interval(draw_metrics(labels, {"m": Scored(log_odds)}, resampling)["m"]["accuracy"]) or (0, 0)
    accuracy = all_metrics(labels, log_odds)["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(accuracy * (1 - accuracy) / 1000), rel=0.1)


def test_users_that_move_together_widen_the_interval() -> None:
    """Ten rows a user that are all right or all wrong: √10 times as wide as ten times as many rows would be."""
    users = np.repeat(np.arange(100), 10)
    right = np.repeat(np.random.default_rng(0).random(100) < 0.6, 10)
    labels, log_odds = np.ones(1000, dtype=bool), np.where(right, 1.0, -1.0)

    def width(owner: np.ndarray | None) -> float:
        draws = draw_metrics(labels, {"m": Scored(log_odds)}, Resampling.over(owner, 1000))["m"]["accuracy"]
        low, high = interval(draws) or (0, 0)
        return high - low

    assert width(users) / width(None) == pytest.approx(math.sqrt(10), rel=0.1)


def test_models_share_their_resamples_so_equal_models_differ_by_nothing() -> None:
    labels, log_odds, users = invented_rows(100, 10)
    found = draw_metrics(
        labels, {"a": Scored(log_odds), "b": Scored(log_odds + 0.0)}, Resampling.over(users, 100, resamples=50)
    )
    assert (found["a"]["auc"] - found["b"]["auc"]).tolist() == [0.0] * 50


def test_one_class_has_no_interval_of_auc_but_one_of_accuracy() -> None:
    labels, log_odds, users = np.ones(50, dtype=bool), np.linspace(-1, 1, 50), np.arange(50) // 5
    found = draw_metrics(labels, {"m": Scored(log_odds)}, Resampling.over(users, 50, resamples=50))["m"]
    assert interval(found["auc"]) is None
    assert interval(found["uauc"]) is None
    assert interval(found["accuracy"]) is not None


def test_one_row() -> None:
    found = draw_metrics(np.array([True]), {"m": Scored(np.array([1.0]))}, Resampling.over(None, 1, resamples=10))["m"]
    assert interval(found["accuracy"]) == (1.0, 1.0)
    assert interval(found["auc"]) is None
