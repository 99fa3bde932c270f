"""Processor, memory and GPUs, asked of the kernel and the driver; torch is not needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from movielora.doctor.check import Check, missing, ok, skipped, warning
from movielora.doctor.requirements import Requirements
from movielora.machine.gpu import Driver, Gpu
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.machine.units import GIB

# Qwen3-0.6B in bf16 with a small batch peaks at about 4 GB; the tokenised data and the libraries want the rest.
_COMFORTABLE_MEMORY = 6 * GIB
_NVIDIA_VENDOR, _DISPLAY_CLASS = "0x10de", "0x03"


def nvidia_cards_on_the_bus(devices: Path = Path("/sys/bus/pci/devices")) -> int:
    """NVIDIA display or compute devices that the kernel sees, with or without a driver."""
    count = 0
    for device in devices.glob("*"):
        try:
            vendor, kind = (device.joinpath(part).read_text("utf-8").strip() for part in ("vendor", "class"))
        except OSError:
            continue
        count += vendor == _NVIDIA_VENDOR and kind.startswith(_DISPLAY_CLASS)
    return count


def check_gpu(driver: Driver, requirements: Requirements, cards: int, visible: str | None) -> Check:
    """`visible` is CUDA_VISIBLE_DEVICES as set, None if it is not."""
    wanted = bool(requirements.gpu)
    asked = f"a CUDA GPU: {requirements.config} says `{requirements.gpu}`" if wanted else "a CUDA GPU for full speed"
    if driver.gpus and visible is not None and visible.strip() in ("", "-1"):
        found = f"{driver.gpus[0].name}, hidden by CUDA_VISIBLE_DEVICES={visible!r}"
        return missing("gpu", found, asked, "unset CUDA_VISIBLE_DEVICES", demanded=wanted)
    if driver.gpus:
        names = "; ".join(_describe(gpu) for gpu in driver.gpus)
        return ok("gpu", f"{names}; driver {driver.version} serves CUDA up to {driver.cuda}")
    if cards:
        found = f"{cards} NVIDIA card{'s' if cards > 1 else ''} without a working driver ({driver.problem})"
        fix = "install NVIDIA's driver, or pass the GPU into the container (docker run --gpus all)"
        return missing("gpu", found, asked, fix, demanded=True)
    fix = (
        f"on a machine without one, {_without(requirements)}"
        if wanted
        else "training will use the CPU; movielora fit --config FILE says what it needs"
    )
    return missing("gpu", "none", asked, fix, demanded=wanted)


def _without(requirements: Requirements) -> str:
    return "--set flash_attn=auto" if requirements.flash else "--set fp16=false"


def _describe(gpu: Gpu) -> str:
    memory = "unknown memory" if gpu.memory_total_bytes is None else f"{gpu.memory_total_bytes / GIB:.0f} GiB"
    return f"{gpu.name}, {memory}, compute capability {gpu.capability or 'unknown'}"


def check_processor(flags: frozenset[str] | None = None, cores: int | None = None, gpu: bool = False) -> Check:
    """Whether bf16 is fast here. With a GPU the processor only feeds it."""
    known = cpu_flags() if flags is None else flags
    count = cores or len(os.sched_getaffinity(0))
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in known]
    found = f"{count} core{'s' if count > 1 else ''}, {', '.join(fast) if fast else 'no AVX'}"
    if gpu or computes_bf16_fast(known):
        return ok("processor", found)
    return ok("processor", f"{found}: no bf16 units, so training on it uses fp32")


def check_memory(total: int | None = None, available: int | None = None, limit: int | None = None) -> Check:
    """Bytes of the machine, those free, and the container's limit if there is one."""
    machine = psutil.virtual_memory()
    total, available = total or machine.total, available or machine.available
    limit = _container_limit() if limit is None else limit
    free = min(available, limit) if limit else available
    found = f"{free / GIB:.1f} of {(min(total, limit) if limit else total) / GIB:.1f} GiB free"
    if free >= _COMFORTABLE_MEMORY:
        return ok("memory", found)
    fix = "close other programs; movielora fit --config FILE says what a training needs"
    return warning("memory", found, f"{_COMFORTABLE_MEMORY // GIB} GiB for Qwen3-0.6B", fix)


def _container_limit(path: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """The control group's memory limit in bytes; 0 if there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def check_gpu_use(driver: Driver, own: Sequence[int] = ()) -> Check:
    """Whether someone computes on the GPU now; `own` are process ids to leave out."""
    if not driver.gpus:
        return skipped("gpu_use", "no GPU")
    busy = [(pid, used, gpu) for gpu in driver.gpus for pid, used in gpu.processes if pid not in {os.getpid(), *own}]
    if not busy:
        return ok("gpu_use", "no process computes on it")
    listed = ", ".join(f"process {pid} ({_program(pid)}{_size(used)})" for pid, used, _ in busy[:3])
    fix = "movielora status shows whether it is a run of yours; wait for it, or stop it with movielora stop"
    return warning("gpu_use", listed, "a GPU to itself", fix)


def _program(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "another user's or container's"


def _size(used: int | None) -> str:
    return f", {used / GIB:.1f} GiB" if used else ""
