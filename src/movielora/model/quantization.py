"""The 4-bit base of QLoRA: nf4 with double quantisation, computed in bf16 (Dettmers et al. 2023, arXiv:2305.14314).

A 4-bit base is frozen and otherwise left as loaded. PEFT's k-bit preparation would raise norms and embedding to
fp32: Qwen3's norm computes in fp32 inside anyway, and an fp32 weight would make its output, and with it every 4-bit
layer's and attention's, fp32 — twice the activations, and an error in flash attention. The adapters are bf16
(`adapter.py`); with checkpointing TRL lets the embedding's output ask for gradients.
"""

from __future__ import annotations

from typing import Any

# What `run_probes` runs.
FOUR_BIT_TARGET = "movielora.model.quantization:run_four_bit"

CPU_SPEED_WARNING = (
    "4-bit weights on the CPU are unpacked in every step and cost several times the time of bf16; "
    "use_qlora: false is faster wherever the base fits in memory"
)


# Bytes of a parameter: half of one for nf4, an 8-bit scale for each block of 64, and an fp32 scale for each 256 scales.
FOUR_BIT_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


def quantization_config() -> Any:
    """nf4, double quantisation, bf16 compute: what `from_pretrained(quantization_config=…)` takes.

    The compute type is bf16 on the CPU too: the 4-bit weights unpack to it, and adapters follow it.
    """
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def keep_differentiable(model: Any) -> None:
    """Keep bitsandbytes from rewriting 4-bit layers in the first evaluation on a CPU.

    On processors with AVX-512 bf16 (bitsandbytes 0.50.2) a forward pass without gradients packs each layer again, for
    good and with rounded scales, and the product of such a layer has no backward pass: after its first evaluation a
    training would go on with gradients that no longer reach through the base, and without an error.
    """
    for layer in model.modules():
        if getattr(layer, "support_avx512bf16_for_cpu", False):
            layer.support_avx512bf16_for_cpu = False


def run_four_bit(rows: int = 8, width: int = 128) -> dict[str, Any]:
    """In a child process: a real 4-bit layer forward and backward, compared with its own unpacked weights.

    Loading is deferred to the first operation, so an import proves nothing. Returns device, forward and backward
    error, each relative to the largest true value.
    """
    import bitsandbytes as bnb
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    layer = bnb.nn.Linear4bit(
        width, width, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True, quant_type="nf4"
    ).to(device)
    states = torch.randn(rows, width, device=device, dtype=torch.bfloat16, requires_grad=True)
    output = layer(states)
    (gradient,) = torch.autograd.grad(output.float().square().sum(), states)

    weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    exact = states.detach().float().requires_grad_()
    true_output = exact @ weight.T
    (true_gradient,) = torch.autograd.grad(true_output.square().sum(), exact)
    return {
        "version": bnb.__version__,
        "device": device,
        "forward_error": _relative_error(output, true_output),
        "backward_error": _relative_error(gradient, true_gradient),
    }


def _relative_error(given: Any, true: Any) -> float:
    return float(((given.float() - true).abs().max() / true.abs().max()).detach())
