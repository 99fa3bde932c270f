"""Which attention kernel the model runs on: asked for by name, or chosen by a probe that ran the kernel.

The library looks only at a package's version before it takes flash attention, so a wheel built for another torch
fails at the first step. Here a small forward and backward run first, in a child process, and are compared with
`sdpa` on grouped-query shapes: one published kernel imported well and had wrong gradients there.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from movielora.errors import ModelError
from movielora.machine.child import KernelProbe, Outcome, run_probes

Requested = Literal["auto", "flash_attention_2", "sdpa", "eager", False]

# FlashAttention-2 is written for Ampere and newer.
FLASH_CAPABILITY = (8, 0)
# A cold CUDA start on a loaded machine takes tens of seconds.
_PROBE_SECONDS = 90.0
# Grouped-query shapes of Qwen3-0.6B: 16 query heads share 8 key/value heads of 128.
_QUERY_HEADS, _KEY_HEADS, _HEAD_DIM = 16, 8, 128
# Two rows of different lengths, neither a multiple of the kernel's block of 64.
_LENGTHS = (77, 130)


@dataclass(frozen=True)
class AttentionChoice:
    """`implementation` is what the loader takes; None leaves the library's default."""

    implementation: str | None
    reason: str


def choose_attention(
    requested: Requested, probe: Callable[[], KernelProbe], *, half_precision: bool = True
) -> AttentionChoice:
    """Turn the key `flash_attn` into an implementation that works here.

    `half_precision`: the weights or the autocast are bf16 or fp16; flash attention computes in nothing else.
    Raises ModelError when a kernel asked for by name cannot run.
    """
    if requested is False:
        return AttentionChoice(None, "the library's default (flash_attn: false)")
    if requested in ("sdpa", "eager"):
        return AttentionChoice(requested, f"{requested}: asked for by name")
    if requested not in ("auto", "flash_attention_2"):
        raise ModelError(
            f"flash_attn: {requested} is no attention kernel that movielora knows",
            "write flash_attn: auto (or flash_attention_2, sdpa, eager, false)",
        )
    verdict = _verdict(probe, half_precision)
    if verdict.usable:
        return AttentionChoice("flash_attention_2", f"flash_attention_2: {verdict.reason}")
    if requested == "auto":
        return AttentionChoice("sdpa", f"sdpa: {verdict.reason}")
    raise ModelError(
        f"flash_attn: flash_attention_2 cannot work here: {verdict.reason}",
        "write flash_attn: auto, which takes sdpa here; movielora doctor --only flash_attention says more",
    )


def _verdict(probe: Callable[[], KernelProbe], half_precision: bool) -> KernelProbe:
    if not half_precision:
        return KernelProbe(None, False, "flash attention computes in bf16 or fp16 only, and these weights are fp32")
    return probe()


def probe_flash_attention(seconds: float = _PROBE_SECONDS) -> KernelProbe:
    """Ask a child process to load flash-attn and compare it with sdpa; without the package no child is started."""
    if installed_flash_attn() is None:
        return KernelProbe(None, False, "flash-attn is not installed")
    return read_flash_probe(run_probes({"flash_attention": FLASH_TARGET}, seconds)["flash_attention"])


def without_gpu() -> KernelProbe:
    """The verdict if torch sees no GPU: nothing needs to be asked."""
    return KernelProbe(installed_flash_attn(), False, "flash attention needs a CUDA GPU, and torch sees none")


# What `run_probes` runs.
FLASH_TARGET = "movielora.model.kernels.attention:run_flash_attention"


def installed_flash_attn() -> str | None:
    """The installed flash-attn, or None; `unknown` if a module is there and no package is recorded."""
    try:
        return metadata.version("flash-attn")
    except metadata.PackageNotFoundError:
        return "unknown" if importlib.util.find_spec("flash_attn") else None


def read_flash_probe(outcome: Outcome) -> KernelProbe:
    """The verdict on what the child answered, or on how it died."""
    version = installed_flash_attn()
    if version is None:
        return KernelProbe(None, False, "flash-attn is not installed")
    if outcome.value is None:
        return KernelProbe(version, False, f"flash-attn {version} fails: {outcome.last_line}", outcome.error)
    usable, reason = bool(outcome.value["usable"]), str(outcome.value["reason"])
    return KernelProbe(version, usable, f"flash-attn {version} {reason}", str(outcome.value.get("error", "")))


def run_flash_attention() -> dict[str, Any]:
    """In the child: load the compiled module, then forward and backward against sdpa on grouped-query shapes.

    Returns usable, reason and error (the import's own message, if it failed).
    """
    import torch

    try:
        from flash_attn import flash_attn_func, flash_attn_varlen_func
    except (ImportError, OSError, RuntimeError) as error:
        return {"usable": False, "reason": f"does not load: {_one_line(error)}", "error": str(error)}
    if not torch.cuda.is_available():
        return {"usable": False, "reason": "loads, but torch sees no CUDA GPU"}
    capability = torch.cuda.get_device_capability()
    if capability < FLASH_CAPABILITY:
        found = ".".join(map(str, capability))
        return {"usable": False, "reason": f"needs compute capability 8.0 or more, and this GPU has {found}"}
    try:
        worst = worst_disagreement(flash_attn_func, flash_attn_varlen_func, "cuda")
    except (RuntimeError, TypeError) as error:
        return {"usable": False, "reason": f"loads and does not run: {_one_line(error)}", "error": str(error)}
    if worst > 1:
        return {
            "usable": False,
            "reason": f"gives gradients or outputs that differ from sdpa's ({worst:.1f} × bf16 rounding)",
        }
    return {"usable": True, "reason": "agrees with sdpa, forward and backward"}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def worst_disagreement(fixed: Callable[..., Any], packed: Callable[..., Any], device: str) -> float:
    """The largest error of two kernels, as a multiple of what bf16 itself may cost; above 1 is wrong.

    `fixed` attends within a batch of rows of one length, `packed` within rows laid end to end, both causally and
    with flash-attn's arguments. The allowance is flash-attn's own tests': twice sdpa's bf16 error against fp32, and
    a little for what is near zero.
    """
    import torch

    torch.manual_seed(0)
    query, key, value, upstream = (
        torch.randn(sum(_LENGTHS), heads, _HEAD_DIM, device=device, dtype=torch.bfloat16)
        for heads in (_QUERY_HEADS, _KEY_HEADS, _KEY_HEADS, _QUERY_HEADS)
    )  # each (tokens, heads, head_dim); `upstream` is the gradient of the output
    bounds = torch.tensor([0, _LENGTHS[0], sum(_LENGTHS)], device=device, dtype=torch.int32)

    def row_by_row(*states: Any) -> Any:
        rows = zip(*(part.split(_LENGTHS) for part in states), strict=True)
        return torch.cat([fixed(*(part.unsqueeze(0) for part in row), causal=True).squeeze(0) for row in rows])

    def all_at_once(*states: Any) -> Any:
        return packed(*states, bounds, bounds, max(_LENGTHS), max(_LENGTHS), causal=True)

    inputs = [query, key, value]
    exact = _outputs_and_gradients(sdpa_rows, [part.float() for part in inputs], upstream.float())
    plain = _outputs_and_gradients(sdpa_rows, inputs, upstream)
    worst = 0.0
    for kernel in (row_by_row, all_at_once):
        given = _outputs_and_gradients(kernel, inputs, upstream)
        for flash, sdpa, exact_part in zip(given, plain, exact, strict=True):
            allowed = 2 * float((sdpa.float() - exact_part).abs().max()) + 1e-3
            error = float((flash.float() - exact_part).abs().max())
            worst = max(worst, error / allowed if math.isfinite(error) else math.inf)
    return worst


def sdpa_rows(query: Any, key: Any, value: Any) -> Any:
    """Causal attention of rows laid end to end, (tokens, heads, head_dim), key/value heads repeated for their query
    heads."""
    import torch

    rows = []
    lengths = _LENGTHS if len(query) == sum(_LENGTHS) else (len(query),)
    for row in zip(*(part.split(lengths) for part in (query, key, value)), strict=True):
        q, k, v = (part.transpose(0, 1).unsqueeze(0) for part in row)
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        rows.append(out.squeeze(0).transpose(0, 1))
    return torch.cat(rows)


def _outputs_and_gradients(kernel: Callable[..., Any], inputs: list[Any], upstream: Any) -> list[Any]:
    """The output and the gradients of query, key and value."""
    import torch

    leaves = [part.detach().clone().requires_grad_() for part in inputs]
    output = kernel(*leaves)
    return [output.detach(), *torch.autograd.grad(output, leaves, upstream)]
