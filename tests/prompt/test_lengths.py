"""Lengths: percentiles by hand and against numpy, the histogram's sums, and which cutoff is advised."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.prompt.lengths import advise_cutoff, summarise_lengths

LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=200).map(lambda values: np.array(values, dtype=np.int64))


def test_a_summary_worked_by_hand() -> None:
    found = summarise_lengths(np.array([40, 10, 30, 20]), [0, 25, 50, 75, 90, 100])
    assert (found.samples, found.least, found.mean, found.most) == (4, 10, 25.0, 40)
    # Of four examples a quarter is at most 10, half at most 20, three quarters at most 30.
    assert found.percentiles == {"0": 10, "25": 10, "50": 20, "75": 30, "90": 40, "100": 40}


def test_percentiles_are_numpys_where_no_rank_is_whole() -> None:
    lengths = np.random.default_rng(5).integers(200, 900, 1013)  # a prime number of lengths
    asked = [1, 5, 50, 90, 95, 99, 99.5]
    wanted = np.percentile(lengths, asked, method="inverted_cdf").tolist()
    assert list(summarise_lengths(lengths, asked).percentiles.values()) == wanted


def test_percentiles_carry_the_name_they_were_asked_by() -> None:
    assert summarise_lengths(np.arange(1, 1001), [99.9, 5.0, 50]).percentiles == {"99.9": 999, "5": 50, "50": 500}


@given(LENGTHS, st.floats(0, 100))
def test_a_percentile_is_the_least_length_that_enough_examples_do_not_exceed(
    lengths: np.ndarray[tuple[int], np.dtype[np.int64]], wanted: float
) -> None:
    (value,) = summarise_lengths(lengths, [wanted]).percentiles.values()
    assert value in lengths
    shares = {int(length): np.mean(lengths <= length) for length in set(lengths.tolist())}
    assert shares[value] * 100 >= wanted - 1e-9
    assert all(share * 100 < wanted + 1e-9 for length, share in shares.items() if length < value)


@given(LENGTHS)
def test_the_histogram_counts_every_example_once_in_equal_steps(
    lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    bins = summarise_lengths(lengths, [50]).histogram
    assert 1 <= len(bins) <= 12
    assert sum(count for *_, count in bins) == len(lengths)
    assert bins[0][0] == lengths.min()
    assert bins[-1][0] <= lengths.max() <= bins[-1][1]
    assert len({end - start for start, end, _ in bins}) == 1
    for (_, end, _), (start, _, _) in itertools.pairwise(bins):
        assert start == end + 1
    for start, end, count in bins:
        assert count == ((lengths >= start) & (lengths <= end)).sum()


def test_advice_worked_by_hand() -> None:
    lengths = np.array([100] * 90 + [300] * 6 + [900] * 4)
    advice = advise_cutoff(lengths, 512)
    assert advice.recommended == 320  # p95 is 300, the next multiple of 64 is 320
    assert (advice.over_cutoff, advice.over_recommended) == (4, 4)
    assert advice.cuts_nothing == 900
    assert advice.saved_share == pytest.approx(1 - 320 / 512)
    # A cutoff beyond the longest example costs nothing: the longest batch has 900 tokens then.
    assert advise_cutoff(lengths, 4096).saved_share == pytest.approx(1 - 320 / 900)
    # Going up from 128 saves nothing.
    assert advise_cutoff(lengths, 128).saved_share == 0


@pytest.mark.parametrize(("length", "recommended"), [(1, 64), (64, 64), (65, 128), (128, 128), (875, 896)])
def test_the_recommendation_is_rounded_up_to_a_multiple_of_64(length: int, recommended: int) -> None:
    assert advise_cutoff(np.array([length] * 3), 1024).recommended == recommended


@given(LENGTHS, st.integers(16, 6000))
def test_advice_holds_for_any_lengths(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], cutoff: int) -> None:
    advice = advise_cutoff(lengths, cutoff)
    p95 = sorted(lengths.tolist())[math.ceil(0.95 * len(lengths)) - 1]
    assert advice.recommended % 64 == 0
    assert advice.recommended - 64 < p95 <= advice.recommended
    assert advice.over_cutoff == sum(length > cutoff for length in lengths)
    assert advice.over_recommended <= 0.05 * len(lengths)
    assert 0 <= advice.saved_share < 1
