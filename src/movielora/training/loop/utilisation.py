"""Model FLOP utilisation: the model's own arithmetic in a second, as a share of what this machine can do.

Counted as in PaLM (Chowdhery et al. 2022, arXiv:2204.02311, appendix B), for frozen weights: two operations a weight
and token forward, two backward to the activations, and two more if a weight is trained. Recomputed activations,
attention's products and dropout do not count, nor does padding: work that a better program would not do.
"""

from __future__ import annotations

import time
from typing import Any

from movielora.model.adapter import adapter_dtype
from movielora.model.answer_layer import has_answer_layer
from movielora.model.causal_lm import causal_lm_of

# The product is large enough to be bound by arithmetic, and small enough to take well under a second on two cores.
_SIZE = {"cpu": 1024, "cuda": 8192}
_ROUNDS = 5


def least_seconds_per_token(model: Any) -> float:
    """Seconds that one token's arithmetic takes at this machine's measured peak: utilisation is this times the rate.

    `model` is a PEFT model on its device.
    """
    weight = model.get_input_embeddings().weight
    return flops_per_token(model) / measure_peak(weight.device.type, adapter_dtype(model))


def flops_per_token(model: Any) -> int:
    """Operations of one trained token: the decoder's matrices and its adapters.

    The head sees two positions a row, and so does all of the last layer but its keys and values if it is read at
    the answers only: too little to be counted.

    `model` is a PEFT model. 4-bit weights are stored two to a byte and count as the weights they encode.
    """
    causal_lm = causal_lm_of(model)
    last = f"layers.{causal_lm.config.num_hidden_layers - 1}." if has_answer_layer(causal_lm) else None
    total = 0
    for name, parameter in causal_lm.get_decoder().named_parameters():
        if "layers." not in name or not name.endswith("weight") or "norm" in name:
            continue
        if last and name.startswith(last) and not any(part in name for part in (".k_proj.", ".v_proj.")):
            continue
        shape = getattr(getattr(parameter, "quant_state", None), "shape", None) or parameter.shape
        weights = 1
        for size in shape:
            weights *= int(size)
        total += weights * (6 if parameter.requires_grad else 4)
    return total


def measure_peak(device: str, dtype: Any) -> float:
    """Floating-point operations a second of a large matrix product on `device` (`cpu`, `cuda`): the best of a few."""
    import torch

    size = _SIZE[device]
    one = torch.ones(size, size, device=device, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(_ROUNDS + 1):  # the first chooses the kernel
            _wait(device)
            started = time.perf_counter()
            torch.mm(one, one)
            _wait(device)
            best = min(best, time.perf_counter() - started)
    return float(2 * size**3 / best)


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
