"""Liger's fused Triton kernels (Hsu et al. 2024, arXiv:2410.10989) for Qwen3's norms and MLPs.

The norms of the layers and of the heads; rotary positions stay Qwen3's own, since their function belongs to the
process and not to a model. transformers puts the kernels on the model as it is loaded, so that training, its
evaluation and `compare` compute alike; the trainer's own switch would affect only training. A child process tries them
first: Triton compiles at the first call, and what it lacks (a C compiler, a driver that fits) shows only then.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

from movielora.errors import ModelError
from movielora.machine.child import KernelProbe, Outcome, run_probes

# What `run_probes` runs.
LIGER_TARGET = "movielora.model.kernels.liger:run_liger"
MODEL_TYPE = "qwen3"
# Liger's fused loss would replace the model's forward; only the answer's positions meet the vocabulary here anyway.
# Its rotary function and its plain loss would replace the library's own, for every model of the process.
_KERNELS = {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False}
# A cold CUDA start on a loaded machine, and Triton's first compilation.
_PROBE_SECONDS = 120.0
# bf16 gradients through two layers, as a share of the largest.
_ALLOWED_ERROR = 0.05


def choose_liger(
    requested: bool | str,
    device: str,
    *,
    compiled: bool,
    probe: Callable[[], KernelProbe],
    model_type: Callable[[], str] = lambda: MODEL_TYPE,
) -> tuple[bool, str]:
    """Turn the key `enable_liger_kernel` into whether the kernels are put on the model, and why.

    `compiled`: torch.compile fuses the same operations; `model_type` is the base's, asked for only on a GPU.
    Raises ModelError if they are asked for and cannot run.
    """
    if requested is False:
        return False, "the model's own (enable_liger_kernel: false)"
    if requested == "auto" and compiled:
        return False, "torch.compile fuses them, so Liger is not taken"
    if device != "cuda":
        verdict = KernelProbe(None, False, "Liger needs a CUDA GPU, and torch sees none")
    elif (kind := model_type()) != MODEL_TYPE:
        verdict = KernelProbe(None, False, f"Liger is not for this model ({kind})")
    else:
        verdict = probe()
    if verdict.usable:
        return True, verdict.reason
    if requested == "auto":
        return False, f"the model's own: {verdict.reason}"
    raise ModelError(
        f"enable_liger_kernel: true cannot work here: {verdict.reason}",
        "write enable_liger_kernel: auto, which takes the model's own kernels here, or pip install 'movielora[liger]'",
    )


def apply_liger(model: Any) -> None:
    """Put the kernels on this `model` only, which must be on the GPU to run.

    Liger also puts its classes in place of Qwen3's own, for every model made later: they are put back.
    """
    from transformers.integrations.liger import apply_liger_kernel
    from transformers.models.qwen3 import modeling_qwen3

    own = dict(vars(modeling_qwen3))
    try:
        apply_liger_kernel(model, _KERNELS)
    finally:
        vars(modeling_qwen3).update(own)


def installed_liger() -> str | None:
    try:
        return metadata.version("liger-kernel")
    except metadata.PackageNotFoundError:
        return None


def probe_liger(seconds: float = _PROBE_SECONDS) -> KernelProbe:
    """Try the kernels in a child process; without the package no child is started."""
    if installed_liger() is None:
        return KernelProbe(None, False, "liger-kernel is not installed")
    return read_liger_probe(run_probes({"liger": LIGER_TARGET}, seconds)["liger"])


def read_liger_probe(outcome: Outcome) -> KernelProbe:
    """The verdict on what the child answered, or on how it died."""
    version = installed_liger()
    if version is None:
        return KernelProbe(None, False, "liger-kernel is not installed")
    if outcome.value is None:
        return KernelProbe(version, False, f"liger-kernel {version} fails: {outcome.last_line}", outcome.error)
    error = float(outcome.value["error"])
    if not error < _ALLOWED_ERROR:
        return KernelProbe(version, False, f"liger-kernel {version} gives gradients that are off by {error:.0%}")
    return KernelProbe(version, True, f"liger-kernel {version} agrees with Qwen3's own, forward and backward")


def run_liger(device: str = "cuda") -> dict[str, Any]:
    """In the child: two small Qwen3 layers forward and backward in bf16, before and after.

    Returns the largest error of states and gradients, as a share of the largest true value of each.
    """
    import torch
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    shape = Qwen3Config(
        vocab_size=64, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=128,
    )  # fmt: skip
    model = Qwen3Model(shape).to(device, torch.bfloat16)
    tokens = torch.randint(0, 64, (2, 33), device=device)
    plain = _states_and_gradients(model, tokens)
    apply_liger(model)
    fused = _states_and_gradients(model, tokens)
    pairs = zip(plain, fused, strict=True)
    return {"error": max(float((one - other).abs().max() / one.abs().max()) for one, other in pairs)}


def _states_and_gradients(model: Any, tokens: Any) -> list[Any]:
    """In fp32: the hidden states, and the gradients of the projections that LoRA adapts."""
    import torch

    torch.manual_seed(1)
    weights = [value for name, value in model.named_parameters() if name.endswith("proj.weight")]
    states = model(input_ids=tokens, use_cache=False).last_hidden_state
    gradients = torch.autograd.grad(states, weights, torch.randn_like(states))
    return [states.detach().float(), *(gradient.float() for gradient in gradients)]
