"""PEFT's LoRA layer with few passes over the activations. Benchmark: `bench/train_cpu.py`.

PEFT keeps a dropped-out copy of each layer's input, and makes two more passes over the output to scale and add. Here
the scale goes into the narrow product of rank r, the product is added in place, and the dropped-out copy is made again
in the backward pass. The mathematics and the saved files are PEFT's. CUDA has its own fast dropout, and 4-bit layers
have a class of their own: both keep PEFT's form.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear, LoraVariant

from movielora.model.cpu.dropout import dropped_places, without


def fuse_lora(model: Any) -> None:
    """Let every plain linear layer with an adapter, on the CPU, add the adapter's product in place.

    DoRA and LoRA with a bias keep PEFT's form.
    """
    for layer in model.modules():
        if type(layer) is Linear and layer.get_base_layer().weight.device.type == "cpu":
            for adapter in layer.lora_A:
                if not layer.lora_bias.get(adapter):
                    layer.lora_variant.setdefault(adapter, FusedLora())


def unfuse_lora(model: Any) -> None:
    """Give the layers PEFT's own form again: PEFT merges no layer of another form, and does not say so."""
    for layer in model.modules():
        for adapter, variant in list(getattr(layer, "lora_variant", {}).items()):
            if isinstance(variant, FusedLora):
                del layer.lora_variant[adapter]


class FusedLora(LoraVariant):  # type: ignore[misc]
    """Makes a PEFT linear layer add its adapter by `_AddLora`."""

    @staticmethod
    def forward(module: Any, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """result (…, out) + scaling · dropout(x (…, in)) Aᵀ Bᵀ, in place."""
        share = getattr(module.lora_dropout[active_adapter], "p", 0.0) if module.training else 0.0
        return _AddLora.apply(  # type: ignore[no-any-return, no-untyped-call]
            result,
            x,
            module.lora_A[active_adapter].weight,
            module.lora_B[active_adapter].weight,
            module.scaling[active_adapter] / (1 - share),
            dropped_places(x.numel(), share) if share else None,
        )


class _AddLora(torch.autograd.Function):
    """With x' = x without the dropped places and c = scaling / keep: result += c x' Aᵀ Bᵀ.

    Backward, with g the gradient of the result: dB = gᵀ (c x' Aᵀ), h = c g B, dA = hᵀ x', dx = h A without the
    dropped places. Only x, which q, k and v (gate and up) share, and the narrow product are kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        result: torch.Tensor,
        x: torch.Tensor,
        weight_a: torch.Tensor,
        weight_b: torch.Tensor,
        scale: float,
        dropped: torch.Tensor | None,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        narrow = torch.mm(rows if dropped is None else without(rows, dropped), weight_a.t()).mul_(scale)
        result.view(-1, result.shape[-1]).addmm_(narrow, weight_b.t())
        ctx.mark_dirty(result)
        ctx.save_for_backward(x, narrow, weight_a, weight_b, dropped)
        ctx.scale = scale
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, narrow, weight_a, weight_b, dropped = ctx.saved_tensors
        (given,) = gradients
        wide = given.reshape(-1, given.shape[-1])
        rows = x.reshape(-1, x.shape[-1])
        back = torch.mm(wide, weight_b).mul_(ctx.scale)  # (tokens, r)
        for_a = torch.mm(back.t(), rows if dropped is None else without(rows, dropped))
        for_b = torch.mm(wide.t(), narrow)
        for_x = None
        if ctx.needs_input_grad[1]:
            for_x = torch.mm(back, weight_a)
            if dropped is not None:
                for_x.view(-1).index_fill_(0, dropped, 0)
            for_x = for_x.view(x.shape)
        return given, for_x, for_a, for_b, None, None
