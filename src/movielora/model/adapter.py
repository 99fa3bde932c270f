"""LoRA layers in the dtype in which the base computes, on every device.

PEFT keeps adapters in fp32 on a bf16 base and casts every layer's input to fp32 and back. Here the adapter has the
base's dtype, and the optimiser keeps fp32 master values (`training/loop/optimizer.py`). What is done besides only to be
fast on a CPU is in `model/cpu/lora.py`.
"""

from __future__ import annotations

from typing import Any

import torch

from movielora.model.cpu.lora import fuse_lora


def prepare_adapter(model: Any, *, mixed_fp16: bool = False, compiled: bool = False) -> Any:
    """Give the adapters on `model` (PEFT) their dtype, and the fused form on a CPU; returns `model`.

    Gradients of bf16 adapters are summed in fp32: over many micro-batches bf16's 8 bits would lose the small ones.
    `mixed_fp16`: fp16 training, for which the loss scaler needs fp32 adapters. `compiled`: torch.compile fuses PEFT's
    own form, dropout included.
    """
    dtype = torch.float32 if mixed_fp16 else adapter_dtype(model)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype)
            if parameter.requires_grad:
                parameter.grad_dtype = torch.float32
    if not compiled:
        fuse_lora(model)
    return model


def adapter_dtype(model: Any) -> torch.dtype:
    """The dtype in which the base computes: bf16 for a 4-bit base, else that of its weights."""
    four_bit = getattr(model, "is_loaded_in_4bit", False)
    return torch.bfloat16 if four_bit else model.get_input_embeddings().weight.dtype
