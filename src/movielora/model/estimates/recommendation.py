"""The fastest settings with which a training fits a memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from movielora.machine.units import GIB
from movielora.model.estimates.memory import Setup, Shape, estimate

# Fragmentation, other programs on the display GPU, and the estimate's own error.
USABLE_SHARE = 0.9


@dataclass(frozen=True)
class Recommendation:
    """The fastest settings that fit, effective batch kept; `fits` is False if even the smallest do not."""

    memory: int
    setup: Setup
    accumulation: int
    peak_bytes: int
    fits: bool

    @property
    def usable(self) -> int:
        """Bytes that a training may plan with."""
        return round(self.memory * USABLE_SHARE)

    def as_json(self) -> dict[str, int | bool]:
        return {
            "per_device_train_batch_size": self.setup.rows,
            "gradient_accumulation_steps": self.accumulation,
            "gradient_checkpointing": self.setup.checkpointing,
            "use_qlora": self.setup.quantized,
        }


# What GPUs are sold with.
MEMORIES = tuple(size * GIB for size in (8, 12, 16, 24, 48, 80))
# The order is that of speed: recomputing costs a third more time, unpacking 4-bit weights in every layer more.
_WAYS = ((False, False), (False, True), (True, False), (True, True))
# Rows beyond this fill the device no better, and padding grows; two cores are full with one.
_MOST_ROWS: dict[str, int] = {"cpu": 4, "cuda": 32}


def recommend(shape: Shape, setup: Setup, memory: int, effective_batch: int) -> Recommendation:
    """The fastest way to train within `memory` bytes: 16-bit before 4-bit, no checkpointing before checkpointing,
    and then the largest micro-batch. Every micro-batch divides the effective batch, which is kept exactly."""
    ways = [replace(setup, quantized=quantized, checkpointing=spared) for quantized, spared in _WAYS]
    tried = [largest_batch(shape, way, memory, effective_batch) for way in ways]
    return next((found for found in tried if found.fits), tried[-1])


def largest_batch(shape: Shape, setup: Setup, memory: int, effective_batch: int) -> Recommendation:
    """The most rows at once that fit with these settings; one row if none do."""
    sizes = [
        size for size in range(min(effective_batch, _MOST_ROWS[setup.device]), 0, -1) if effective_batch % size == 0
    ]
    tried = [replace(setup, rows=rows) for rows in sizes]
    peaks = [estimate(shape, each).peak_bytes for each in tried]
    place = next((place for place, peak in enumerate(peaks) if peak <= memory * USABLE_SHARE), -1)
    fits = peaks[place] <= memory * USABLE_SHARE
    return Recommendation(memory, tried[place], effective_batch // tried[place].rows, peaks[place], fits)
