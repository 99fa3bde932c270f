"""The 4-bit base of QLoRA: nf4 with double quantisation, computed in bf16 (Dettmers et al. 2023, arXiv:2305.14314)."""

from __future__ import annotations

from typing import Any

from movielora.errors import ModelError

# What `run_probes` is told to run.
PROBE_TARGET = "movielora.model.quantization:run_four_bit"

CPU_SPEED_WARNING = (
    "4-bit weights on the CPU are unpacked in every step and cost several times the time of bf16; "
    "use_qlora: false is faster wherever the base fits in memory"
)


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


def prepare_four_bit_base(model: Any, *, gradient_checkpointing: bool) -> Any:
    """Freeze a 4-bit base for LoRA and leave its types as loaded.

    PEFT's own preparation raises norms and the embedding to fp32. Qwen3's norm already computes in fp32 inside, and
    an fp32 weight would make its output, and with it every 4-bit layer's and attention's, fp32: twice the
    activations, and an error in flash attention. With checkpointing the embedding's output must ask for gradients,
    or nothing before the first adapter is recorded.
    Raises ModelError where `model` is not 4-bit.
    """
    if not is_four_bit(model):
        raise ModelError("the base was not loaded in 4-bit", "load it with quantization_config()")
    model.requires_grad_(False)
    if gradient_checkpointing:
        model.enable_input_require_grads()
    return model


def is_four_bit(model: Any) -> bool:
    return bool(getattr(model, "is_loaded_in_4bit", False))


def run_four_bit(rows: int = 8, width: int = 128) -> dict[str, Any]:
    """In a child process: a real 4-bit layer forward and backward, held against its own unpacked weights.

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
    return float((given.float() - true).abs().max() / true.abs().max())
