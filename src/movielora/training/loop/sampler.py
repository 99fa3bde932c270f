"""The order of the training rows: random, reproducible, rows of similar length together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

# Effective batches sorted by length at once: enough to leave little padding, few enough to stay random.
_POOL = 50


class LengthGroupedSampler(Sampler[int]):
    """Row numbers such that every `micro_batch` in a row are of similar length.

    The order depends only on `seed` and the epoch, not on a random state that a resumed run would have to restore.
    Within a pool the micro-batches are shuffled, so that one optimiser step mixes lengths.
    """

    def __init__(self, lengths: NDArray[np.integer], micro_batch: int, effective_batch: int, seed: int) -> None:
        self._lengths, self._micro_batch, self._seed = lengths, micro_batch, seed
        self._pool = effective_batch * _POOL
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self._seed, self._epoch])
        shuffled = random.permutation(len(self._lengths))
        for start in range(0, len(shuffled), self._pool):
            pool = shuffled[start : start + self._pool]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches = [pool[at : at + self._micro_batch] for at in range(0, len(pool), self._micro_batch)]
            # A short last batch must stay last, or every batch behind it would be cut across.
            full = [batch for batch in batches if len(batch) == self._micro_batch]
            rest = [batch for batch in batches if len(batch) < self._micro_batch]
            for index in random.permutation(len(full)):
                yield from full[index].tolist()
            for batch in rest:
                yield from batch.tolist()
