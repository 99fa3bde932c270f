"""What NVML says of the GPUs; an empty list where there is no driver, no GPU or no library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One GPU. Memory in bytes, utilisation in percent, temperature in °C; None where the driver does not say.

    `process_memory_bytes` is this run's, None in containers whose process numbers the driver does not know.
    """

    index: int
    name: str
    utilization_percent: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    process_memory_bytes: int | None
    temperature_celsius: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_gpus(pid: int | None) -> list[Gpu]:
    """Every GPU of this machine, with the memory of process `pid`."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_read_one(pynvml, index, pid) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # the driver went away, or the GPU fell off the bus, between two questions
        return []
    finally:
        pynvml.nvmlShutdown()


def _read_one(nvml: Any, index: int, pid: int | None) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(question: Callable[[], Any]) -> Any:
        """One answer; None where this GPU does not know it (a MIG slice has no utilisation, say)."""
        try:
            return question()
        except nvml.NVMLError:
            return None

    name = ask(lambda: nvml.nvmlDeviceGetName(handle)) or f"GPU {index}"
    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    use = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    processes = ask(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or []
    temperature = ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    return Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else str(name),
        utilization_percent=float(use.gpu) if use else None,
        memory_used_bytes=int(memory.used) if memory else None,
        memory_total_bytes=int(memory.total) if memory else None,
        process_memory_bytes=next((item.usedGpuMemory for item in processes if item.pid == pid), None),
        temperature_celsius=float(temperature) if temperature is not None else None,
    )
