"""The training loss between two logs, kept so that a resume logs what an uninterrupted run would have logged."""

from __future__ import annotations

import torch


class UnloggedLoss:
    """The sum of the micro-batches' losses since step `logged_step`, the last one that was logged.

    transformers has the same sum, but private and forgotten by a resume. Added in the same order and dtype, the two
    agree to the last bit.
    """

    def __init__(self, total: float = 0.0, logged_step: int | None = None) -> None:
        self._sum: torch.Tensor | None = None
        self._before = total
        self._logged_step = logged_step

    @property
    def total(self) -> float:
        return self._before if self._sum is None else float(self._sum.item())

    def logged_step(self, step: int) -> int:
        """The last step that was logged; `step`, the present one, if the training has done none since it began."""
        return step if self._logged_step is None else self._logged_step

    def add(self, loss: torch.Tensor, steps_done: int) -> None:
        """A micro-batch's share of the loss of the optimiser step after `steps_done`. Nothing waits for a GPU here."""
        if self._logged_step is None:
            self._logged_step = steps_done
        if self._sum is None:
            self._sum = torch.tensor(self._before, device=loss.device)
        self._sum += loss

    def take_mean(self, step: int) -> float:
        """Mean loss of the optimiser steps up to `step`; the next sum starts from zero."""
        mean = self.total / (step - self.logged_step(step))
        self._sum, self._before, self._logged_step = None, 0.0, step
        return mean
