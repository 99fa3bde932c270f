"""How fast a training should be, from the model's shape and a processor's published peak: an estimate, no measurement.

The larger of two times counts. Arithmetic: operations a token (`docs/gpu.md`) at a usual share of the peak. Launches:
every micro-batch starts some hundred kernels a layer, whatever its rows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from movielora.machine.gpu import Gpu
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.model.estimates.memory import Setup, Shape, adapter_parameters, linear_parameters

# Operations of one weight and token, forward and back to the activations; a trained weight's own gradient is two more.
_FROZEN, _TRAINED = 4, 6
# A usual share of the peak for a well-filled GPU.
_SHARE = 0.35
# fp32 beside bf16 on the tensor units' peak: from a half to a sixteenth, by the card.
_FP32_SHARE = 1 / 8
# About 230 kernels a layer and micro-batch, 5 to 10 µs each.
_LAUNCH_SECONDS_A_LAYER = 230 * 7.5e-6
# Checkpointing computes the forward pass again: three passes' work becomes four.
_CHECKPOINTING = 4 / 3
# Evaluation is the forward pass only: half of a training step's work.
EVALUATION_SHARE = 0.5

# Name as the driver gives it → dense bf16 peak in TFLOP/s with fp32 sums (fp16 on the two that have no bf16). Published
# by NVIDIA. A longer name wins over a shorter one that is part of it.
_PEAKS = {
    "T4": 65, "V100": 125, "A10": 125, "A10G": 70, "A30": 165, "A40": 150, "A100": 312, "L4": 121, "L40": 181,
    "L40S": 362, "H100": 989, "H100 PCIe": 756, "H200": 989, "B200": 2250, "RTX A4000": 77, "RTX A5000": 111,
    "RTX A6000": 155, "RTX 6000 Ada": 364, "RTX 3060": 25, "RTX 3070": 41, "RTX 3080": 60, "RTX 3090": 71,
    "RTX 4060": 30, "RTX 4070": 58, "RTX 4080": 97, "RTX 4090": 165, "RTX 5070": 62, "RTX 5080": 113, "RTX 5090": 210,
}  # fmt: skip
_UNKNOWN_PEAK = 40
# A core's rate, measured in trainings on two cores of one processor with AMX: Qwen3-0.6B's shape in bf16, and the
# embedded base in fp32 (3.1e10; wider layers reach more).
_CORE_BF16, _CORE_FP32 = 1.8e11, 4.0e10
# Without matrix units for bf16.
_CORE_EMULATED = 1.0e10


@dataclass(frozen=True)
class Hardware:
    """What computes: its name, operations a second that a training reaches, seconds a layer's kernels take to start.

    `how` says in words where the two figures come from.
    """

    name: str
    flops: float
    launch_seconds: float
    how: str


def gpu_hardware(name: str, *, half_precision: bool) -> Hardware:
    """A GPU by the name that the driver gives it; an unknown one is taken for a slow one."""
    known = max((each for each in _PEAKS if _names(each, name)), key=len, default="")
    peak = _PEAKS.get(known, _UNKNOWN_PEAK)
    flops = peak * 1e12 * _SHARE * (1 if half_precision else _FP32_SHARE)
    how = f"estimated from {peak} TFLOP/s at {_SHARE:.0%}" + ("" if known else ", assumed: this GPU is not known")
    return Hardware(name, flops, _LAUNCH_SECONDS_A_LAYER, how)


def cpu_hardware(*, half_precision: bool) -> Hardware:
    """This machine's processor, as many cores as a training may use."""
    cores = len(os.sched_getaffinity(0))
    if (limit := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        cores = min(cores, int(limit) or cores)
    a_core = (_CORE_BF16 if computes_bf16_fast(cpu_flags()) else _CORE_EMULATED) if half_precision else _CORE_FP32
    name = f"{cores} CPU core{'' if cores == 1 else 's'}"
    return Hardware(name, cores * a_core, 0.0, "estimated roughly from another processor")


def hardware_here(setup: Setup, gpus: list[Gpu], *, fp16: bool) -> Hardware:
    """What a training with this setup would compute on."""
    half_precision = setup.compute_bytes == 2 or fp16
    if setup.device == "cuda":
        return gpu_hardware(gpus[0].name if gpus else "a GPU", half_precision=half_precision)
    return cpu_hardware(half_precision=half_precision)


def seconds_per_example(shape: Shape, setup: Setup, tokens: float, hardware: Hardware) -> float:
    """Of training one example of `tokens` tokens, in micro-batches of `setup.rows`."""
    work = _FROZEN * linear_parameters(shape) + _TRAINED * adapter_parameters(shape, setup)
    arithmetic = work * tokens / hardware.flops
    launches = hardware.launch_seconds * shape.layers / setup.rows
    return max(arithmetic, launches) * (_CHECKPOINTING if setup.checkpointing else 1)


def _names(known: str, name: str) -> bool:
    """Whether `name` holds the words of `known`: `L4` is in `NVIDIA L4`, not in `NVIDIA L40S`."""
    words, wanted = name.replace("-", " ").split(), known.split()
    return any(words[place : place + len(wanted)] == wanted for place in range(len(words)))
