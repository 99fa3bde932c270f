"""AdamW with fp32 master values for bf16 adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class MasterAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) on fp32 copies of the weights, which follow rounded.

    Why copies: a step changes a weight by about the learning rate. bf16 keeps 8 bits, so at a weight of 0.03 its
    neighbours are 1.2e-4 apart: below that, steps of bf16 weights would be rounded away and learning would stall.
    Weights that are fp32 already are their own masters, and this is plain AdamW. `state_dict` has the masters too
    (`masters`, in the order of the parameters that have one), so a resume is exact.
    """

    def __init__(self, params: Any, **options: Any) -> None:
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self._pairs: list[tuple[torch.Tensor, torch.Tensor]] = []  # (weight, master)
        super().__init__(
            [{**group, "params": [self._master(p) for p in group["params"]]} for group in groups], **options
        )

    def _master(self, weight: torch.Tensor) -> torch.Tensor:
        if weight.dtype == torch.float32:
            return weight
        master = weight.detach().float().requires_grad_()
        self._pairs.append((weight, master))
        return master

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        for weight, master in self._pairs:
            master.grad = None if weight.grad is None else weight.grad.float()  # already fp32 with `grad_dtype`
        loss: float | None = super().step(closure)
        for weight, master in self._pairs:
            weight.copy_(master)
            master.grad = None
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for weight, _ in self._pairs:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "masters": [master.detach() for _, master in self._pairs]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raises ValueError if the saved masters are not of these weights."""
        saved = state_dict.get("masters", [])
        if len(saved) != len(self._pairs):
            raise ValueError(f"the optimizer state holds {len(saved)} fp32 master weights, not {len(self._pairs)}")
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "masters"})
        for (weight, master), values in zip(self._pairs, saved, strict=True):
            master.copy_(values)
            weight.copy_(master)
