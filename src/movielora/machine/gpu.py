"""The one reader of NVML: what the NVIDIA driver reports about itself and each GPU. torch is not needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver knows it. Memory in bytes, utilisation in percent, temperature in °C; None or "" for what
    the driver does not report.

    `capability` is the CUDA compute capability, such as `8.0`. `processes` holds (pid, bytes or None) of those that
    compute on it; inside a container the driver may list none.
    """

    name: str
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    capability: str = ""
    processes: tuple[tuple[int, int | None], ...] = ()
    index: int = 0
    utilization_percent: float | None = None
    temperature_celsius: float | None = None

    def memory_of(self, pid: int | None) -> int | None:
        """Bytes of process `pid`; None in containers whose process numbers the driver does not know."""
        return next((used for owner, used in self.processes if owner == pid), None)

    def to_json(self, pid: int | None) -> dict[str, Any]:
        """What `movielora status --json` prints about this GPU, for the run whose process is `pid`."""
        return {
            "index": self.index,
            "name": self.name,
            "utilization_percent": self.utilization_percent,
            "memory_used_bytes": self.memory_used_bytes,
            "memory_total_bytes": self.memory_total_bytes,
            "process_memory_bytes": self.memory_of(pid),
            "temperature_celsius": self.temperature_celsius,
        }


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver: its `version`, the highest `cuda` it serves, its GPUs. Without one, `problem` says why."""

    version: str = ""
    cuda: str = ""
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


def read_driver() -> Driver:
    """Ask NVML, which needs only the driver. That there is no driver, GPU or library is no error."""
    try:
        import pynvml
    except ImportError:
        return Driver(problem="nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Driver(problem=str(error))
    try:
        return _read_driver(pynvml)
    except pynvml.NVMLError as error:  # the driver went away, or the GPU fell off the bus, between two questions
        return Driver(problem=str(error))
    finally:
        pynvml.nvmlShutdown()


def read_gpus() -> list[Gpu]:
    """Every GPU of this machine; none without a driver."""
    return list(read_driver().gpus)


def visible_gpus() -> list[Gpu]:
    """The GPUs that a training may use, in its order: those that CUDA_VISIBLE_DEVICES does not hide."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = read_gpus()
    if visible is None:
        return found
    numbers = [part.strip() for part in visible.split(",")]
    if not all(number.isdigit() for number in numbers):  # empty or -1: none; names of GPUs (GPU-…, MIG-…): any
        return [] if numbers[0] in ("", "-1") else found
    return [gpu for number in numbers for gpu in found if gpu.index == int(number)]


def _read_driver(nvml: Any) -> Driver:
    version = _ask(nvml, nvml.nvmlSystemGetDriverVersion)
    highest = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)  # 12040 is 12.4
    return Driver(
        version=_text(version or ""),
        cuda=f"{highest // 1000}.{highest % 1000 // 10}" if highest else "",
        gpus=tuple(_read_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())),
    )


def _read_gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _ask(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    use = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    temperature = _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    running = _ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return Gpu(
        name=_text(_ask(nvml, nvml.nvmlDeviceGetName, handle) or f"GPU {index}"),
        memory_total_bytes=int(memory.total) if memory else None,
        memory_used_bytes=int(memory.used) if memory else None,
        capability=".".join(map(str, capability)) if capability else "",
        processes=tuple((int(entry.pid), entry.usedGpuMemory) for entry in running),
        index=index,
        utilization_percent=float(use.gpu) if use else None,
        temperature_celsius=float(temperature) if temperature is not None else None,
    )


def _ask(nvml: Any, question: Callable[..., Any], *arguments: Any) -> Any:
    """One answer; None if this GPU does not have it (a MIG slice has no utilisation, for example)."""
    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None


def _text(value: object) -> str:
    """NVML's bindings gave bytes in older versions."""
    return value.decode() if isinstance(value, bytes) else str(value)
