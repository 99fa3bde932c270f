"""Timelines → examples, and each example into train, eval or test, as positions in the timelines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from movielora.dataset.options import PrepareOptions
from movielora.dataset.timelines import Integers, Timelines
from movielora.errors import DataError

SPLITS = ("train", "eval", "test")

# 0.29 × 100 is 28.999… in binary; a share meant exactly must not lose an example to that.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Splits:
    """Positions in the timelines, ascending, of the examples of each split; and what was left out."""

    events: dict[str, Integers]
    users_dropped: int
    over_max_per_user: int
    over_max_eval: int


def split_examples(timelines: Timelines, options: PrepareOptions) -> Splits:
    """Choose the examples and put each into train, eval or test.

    `max_per_user` keeps a user's newest examples and comes before the split, so that the ratios hold for what is
    kept, and the test rows of a smaller cap are among those of a larger one. `max_eval` is a seeded sample.

    Raises:
        DataError: nobody has more than `history_len` ratings, or a split ends up empty.
    """
    lengths = np.diff(timelines.starts)
    available = np.maximum(lengths - options.history_len, 0)
    if not available.any():
        raise DataError(
            f"No user has more than {options.history_len} ratings; the longest timeline has {lengths.max()}.",
            "Use a smaller --history-len.",
        )
    kept = available if options.max_per_user is None else np.minimum(available, options.max_per_user)
    events = _last_events(timelines.starts[1:], kept)
    if options.split == "user-timeline":
        masks = _split_by_user(kept, options)
    else:
        masks = _split_by_time(timelines.timestamp[events], options)
    chosen = {name: events[mask] for name, mask in zip(SPLITS, masks, strict=True)}
    _refuse_empty(chosen, options)
    all_eval = chosen["eval"]
    if options.max_eval is not None and len(all_eval) > options.max_eval:
        sample = np.random.default_rng(options.seed).choice(len(all_eval), options.max_eval, replace=False)
        chosen["eval"] = all_eval[np.sort(sample)]
    return Splits(
        events=chosen,
        users_dropped=int((available == 0).sum()),
        over_max_per_user=int(available.sum() - kept.sum()),
        over_max_eval=len(all_eval) - len(chosen["eval"]),
    )


def _last_events(ends: Integers, counts: Integers) -> Integers:
    """For each user the last `counts` positions before `ends`, ascending, all users in one array."""
    first: Integers = np.repeat(ends - counts, counts)
    positions: Integers = first + _ranks(counts)
    return positions


def _ranks(counts: Integers) -> Integers:
    """0, 1, … counts[0] − 1, 0, 1, … counts[1] − 1, …"""
    first: Integers = np.repeat(np.cumsum(counts) - counts, counts)
    ranks: Integers = np.arange(counts.sum(), dtype=np.int64) - first
    return ranks


def held_out(examples: Integers, ratio: float) -> Integers:
    """max(1, floor(n · ratio)) for each n, and never more than n."""
    share: Integers = np.floor(examples * ratio + _ROUNDING).astype(np.int64)
    return np.minimum(examples, np.maximum(1, share))


def _split_by_user(counts: Integers, options: PrepareOptions) -> tuple[npt.NDArray[np.bool_], ...]:
    """Each user's last examples are test, those before them eval, the rest train.

    Test is served first: one example is a test row; two are an eval and a test row; three are one of each.
    """
    test = held_out(counts, options.test_ratio)
    evaluation = np.minimum(counts - test, held_out(counts, options.val_ratio))
    from_end = np.repeat(counts, counts) - 1 - _ranks(counts)
    is_test = from_end < np.repeat(test, counts)
    is_eval = ~is_test & (from_end < np.repeat(test + evaluation, counts))
    return ~is_test & ~is_eval, is_eval, is_test


def _split_by_time(times: Integers, options: PrepareOptions) -> tuple[npt.NDArray[np.bool_], ...]:
    """Two moments cut all users: train is before the first, test from the second on.

    The moments are the times of the examples at which the later ones make up the ratios; examples of the same second
    are all on the later side, so that no example is trained on that is as late as a held-out one.
    """
    ordered = np.sort(times)
    examples = np.array([len(times)])
    test = int(held_out(examples, options.test_ratio)[0])
    evaluation = int(held_out(examples, options.val_ratio)[0])
    test_from = ordered[len(ordered) - test]
    before_test = int(np.searchsorted(ordered, test_from))
    eval_from = ordered[max(0, before_test - evaluation)]
    is_test = times >= test_from
    is_eval = ~is_test & (times >= eval_from)
    return ~is_test & ~is_eval, is_eval, is_test


def _refuse_empty(chosen: dict[str, Integers], options: PrepareOptions) -> None:
    empty = [name for name in SPLITS if not len(chosen[name])]
    if not empty:
        return
    counts = ", ".join(f"{name} {len(chosen[name]):,}" for name in SPLITS)
    if options.max_per_user is not None and options.max_per_user < len(SPLITS):
        next_step = f"Use --max-per-user {len(SPLITS)} or more."
    elif options.split == "global-time":
        next_step = "Larger ratios help, or --split user-timeline: too many examples have one timestamp at the cut."
    else:
        next_step = "Use a smaller --history-len, or data with more ratings a user."
    raise DataError(f"The split {' and '.join(empty)} would be empty ({counts}).", next_step)
