"""torch: its build, whether its code fits the GPU, and how fast it is here. Read in a child, judged here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.doctor.check import Check, failure, missing, ok, skipped, warning
from movielora.doctor.requirements import Requirements
from movielora.doctor.wheels import numbers
from movielora.machine.child import Outcome
from movielora.machine.gpu import Driver

# What `run_probes` runs.
TORCH_TARGET = "movielora.doctor.checks.pytorch:read_torch"
SPEED_TARGET = "movielora.doctor.checks.pytorch:measure_speed"

_INSTALL = "pip install --force-reinstall torch (https://pytorch.org/get-started/locally names the build for a driver)"


@dataclass(frozen=True)
class TorchFacts:
    """`cuda` is `torch.version.cuda`, None in a CPU build; `architectures` is `get_arch_list()`."""

    version: str
    cuda: str | None
    abi: bool
    architectures: tuple[str, ...]
    sees_gpu: bool
    capability: str | None = None
    problem: str = ""


def read_torch() -> dict[str, Any]:
    """In a child process: what torch is and what it sees."""
    import torch

    sees = torch.cuda.is_available()
    problem = ""
    if torch.version.cuda and not sees:
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except (RuntimeError, AssertionError) as error:
            problem = str(error)
    capability = ".".join(map(str, torch.cuda.get_device_capability())) if sees else None
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "abi": torch.compiled_with_cxx11_abi(),
        "architectures": list(torch.cuda.get_arch_list()) if sees else [],
        "sees_gpu": sees,
        "capability": capability,
        "problem": problem,
    }


def torch_facts(outcome: Outcome) -> TorchFacts | None:
    """The child's answer; None if torch did not load."""
    if outcome.value is None:
        return None
    return TorchFacts(**{**outcome.value, "architectures": tuple(outcome.value["architectures"])})


def measure_speed(size: int = 1024, seconds: float = 0.3) -> dict[str, float]:
    """In a child process: GFLOP/s of fp32 and bf16 square matrix products on the CPU."""
    import torch

    def rate(dtype: torch.dtype) -> float:
        left, right = (torch.randn(size, size, dtype=dtype) for _ in range(2))
        started = time.perf_counter()
        torch.mm(left, right)
        if time.perf_counter() - started > seconds:  # emulated bf16: one product says enough
            return 2 * size**3 / (time.perf_counter() - started) / 1e9
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            torch.mm(left, right)
            count += 1
        return 2 * size**3 * count / (time.perf_counter() - started) / 1e9

    return {"fp32": rate(torch.float32), "bf16": rate(torch.bfloat16)}


def check_torch(outcome: Outcome, driver: Driver, requirements: Requirements) -> Check:
    facts = torch_facts(outcome)
    if facts is None:
        return failure("torch", f"does not load: {outcome.last_line}", "torch 2.11 or newer", _INSTALL)
    found = f"{facts.version}, {f'CUDA {facts.cuda}' if facts.cuda else 'CPU build'}, ABI {str(facts.abi).upper()}"
    if not driver.gpus or facts.sees_gpu:
        return ok("torch", found)
    gpu = driver.gpus[0].name
    if facts.cuda is None:
        needed = f"a CUDA build for the {gpu}"
        return missing("torch", found, needed, _INSTALL, demanded=bool(requirements.gpu))
    if numbers(facts.cuda)[0] > numbers(driver.cuda)[0]:
        found = f"{found}; the driver {driver.version} serves CUDA up to {driver.cuda}"
        fix = f"update NVIDIA's driver, or install a torch built for CUDA {driver.cuda} or older"
        return failure("torch", found, f"a driver for CUDA {facts.cuda}", fix)
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return missing(
            "torch", f"{found}, no GPU visible", gpu, "unset CUDA_VISIBLE_DEVICES", demanded=bool(requirements.gpu)
        )
    said = (facts.problem.splitlines() or ["no reason given"])[0]
    return failure("torch", f"{found}, and it cannot start CUDA: {said}", f"the {gpu}", "nvidia-smi, then a reboot")


def check_torch_gpu_code(outcome: Outcome) -> Check:
    """Whether torch's build holds code for this GPU: the same major version and no newer minor, or PTX to compile."""
    facts = torch_facts(outcome)
    if facts is None or facts.capability is None:
        return skipped("torch_gpu_code", "no GPU that torch sees")
    listed = ", ".join(facts.architectures)
    if runs_on(facts.architectures, facts.capability):
        return ok("torch_gpu_code", f"compute capability {facts.capability} in {listed}")
    needed = f"sm_{facts.capability.replace('.', '')}"
    return failure("torch_gpu_code", f"torch holds code for {listed}", f"{needed}, this GPU's", _INSTALL)


def runs_on(architectures: tuple[str, ...], capability: str) -> bool:
    """`sm_80` runs on 8.0 to 8.9 and no other major; `compute_80` is compiled for anything from 8.0 up."""
    major, minor = numbers(capability)
    for name in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name)
        if not match:
            continue
        kind, built_major, built_minor = match[1], int(match[2]), int(match[3])
        exact_only = name.endswith("a")
        if exact_only and (built_major, built_minor) != (major, minor):
            continue
        if kind == "sm" and built_major == major and built_minor <= minor:
            return True
        if kind == "compute" and (built_major, built_minor) <= (major, minor):
            return True
    return False


def check_cuda_toolkit(run: Callable[[list[str]], str] | None = None) -> Check:
    """nvcc and CUDA_HOME, for information: ready-made wheels need neither."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home and not Path(home).is_dir():
        fix = "unset CUDA_HOME; only building from source reads it"
        return warning("cuda_toolkit", f"CUDA_HOME={home}, which is no folder", "an existing folder, or none", fix)
    nvcc = shutil.which("nvcc", path=f"{home}/bin" if home else None)
    if nvcc is None:
        return ok("cuda_toolkit", f"no nvcc (only building from source needs it); CUDA_HOME {home or 'not set'}")
    release = re.search(r"release ([\d.]+)", (run or _output)([nvcc, "--version"]))
    version = release[1] if release else "of unknown version"
    return ok("cuda_toolkit", f"nvcc {version} at {nvcc}; CUDA_HOME {home or 'not set'}")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
        return done.stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def check_bf16_speed(outcome: Outcome, requirements: Requirements, gpu: bool) -> Check:
    """Whether bf16 is worth it on this processor."""
    if gpu:
        return skipped("bf16_speed", "a GPU computes")
    if outcome.value is None:
        return warning(
            "bf16_speed", f"not measured: {outcome.last_line}", "a measurement", "movielora doctor --only torch"
        )
    fp32, bf16 = float(outcome.value["fp32"]), float(outcome.value["bf16"])
    found = f"bf16 {bf16:,.0f} GFLOP/s, fp32 {fp32:,.0f}: {bf16 / fp32:.1f} times as fast"
    if bf16 < fp32 and requirements.bf16:
        return warning(
            "bf16_speed", found, f"fast bf16: {requirements.config} says `{requirements.bf16}`", "--set bf16=false"
        )
    return ok("bf16_speed", found)
