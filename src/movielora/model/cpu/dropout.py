"""Dropout by its rare event: the places that fall out are drawn, not a number for every element. Benchmark:
`bench/train_cpu.py`.

torch draws one random number an element from one thread; at a width of 1,024 that takes several times the time of the
matrix product it guards. The gap from one dropped place to the next follows the geometric distribution, so drawing the
gaps gives independent drops of exactly the share asked for, with share × elements draws instead of one an element.
The draws come from torch's default generator: the random state of a checkpoint resumes them, and a checkpointed
layer repeats them.
"""

from __future__ import annotations

import math

import torch

# Standard deviations drawn in reserve: a second round is needed less than once in a billion calls.
_RESERVE = 6


def dropped_places(count: int, share: float) -> torch.Tensor:
    """Ascending places out of 0 … count − 1, each there with probability `share` (0 < share < 1) on its own; int64."""
    expected = count * share
    draws = int(expected + _RESERVE * math.sqrt(expected * (1 - share))) + 16
    places = _walk(draws, share, start=-1)
    while places[-1] < count:
        places = torch.cat([places, _walk(draws, share, start=int(places[-1]))])
    return places[: int(torch.searchsorted(places, count))]


def _walk(draws: int, share: float, start: int) -> torch.Tensor:
    """`draws` dropped places behind `start`; the number of trials up to a success is geometric, at least 1."""
    return torch.empty(draws, dtype=torch.int64).geometric_(share).cumsum_(0).add_(start)


def without(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A copy of `states` with zeros at `places` (of the flattened tensor), not yet scaled."""
    copy = states.clone(memory_format=torch.contiguous_format)
    copy.view(-1).index_fill_(0, places, 0)
    return copy
