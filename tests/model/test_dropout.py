"""Dropout by drawn places: the share asked for, independent, in torch's own random state."""

from __future__ import annotations

import torch

from movielora.model.cpu.dropout import dropped_places, without


def test_places_are_in_order_distinct_and_inside() -> None:
    torch.manual_seed(0)
    places = dropped_places(10_000, 0.3)
    assert places.dtype == torch.int64
    assert int(places[0]) >= 0
    assert int(places[-1]) < 10_000
    assert bool((places.diff() > 0).all())


def test_share_is_the_one_asked_for() -> None:
    torch.manual_seed(0)
    for share in (0.001, 0.05, 0.5, 0.9):
        count = 1_000_000
        found = len(dropped_places(count, share))
        deviation = (count * share * (1 - share)) ** 0.5
        assert abs(found - count * share) < 5 * deviation


def test_every_place_and_every_pair_of_neighbours_falls_out_alike() -> None:
    torch.manual_seed(0)
    share, width, rounds = 0.2, 64, 20_000
    dropped = torch.zeros(rounds, width)
    for row in dropped:
        row[dropped_places(width, share)] = 1
    # 64 places, each binomial(20,000, 0.2): standard deviation 0.0028
    assert (dropped.mean(0) - share).abs().max() < 5 * 0.0028
    neighbours = (dropped[:, 1:] * dropped[:, :-1]).mean(0)  # 0.04 where independent, deviation 0.0014
    assert (neighbours - share**2).abs().max() < 5 * 0.0014


def test_the_random_state_of_torch_decides() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = dropped_places(5_000, 0.05)
    second = dropped_places(5_000, 0.05)
    torch.set_rng_state(state)
    assert torch.equal(dropped_places(5_000, 0.05), first)
    assert not torch.equal(first, second)


def test_a_round_that_falls_short_goes_on() -> None:
    """A few elements: the reserve is sixteen draws, and every draw is a step of at least one."""
    torch.manual_seed(0)
    assert all(len(dropped_places(1, 0.5)) <= 1 for _ in range(100))
    assert len(dropped_places(100_000, 0.999)) > 99_700


def test_without_zeroes_a_copy() -> None:
    states = torch.arange(1.0, 7.0).view(2, 3)
    left = without(states, torch.tensor([0, 4]))
    assert left.tolist() == [[0, 2, 3], [4, 0, 6]]
    assert states.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert without(states.t(), torch.tensor([1])).tolist() == [[1, 0], [2, 5], [3, 6]]
