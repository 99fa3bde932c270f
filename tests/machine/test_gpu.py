"""What is made of NVML's answers, by a stand-in that answers as a driver does."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from movielora.machine.gpu import read_gpus, visible_gpus


class NoAnswer(Exception):  # noqa: N818 - NVML's own base class has no such name either
    pass


def driver(**answers: object) -> SimpleNamespace:
    def ask(name: str):
        def answer(*_: object) -> object:
            value = answers.get(name, NoAnswer)
            if value is NoAnswer:
                raise NoAnswer
            return value

        return answer

    names = (
        "nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName",
        "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetTemperature", "nvmlDeviceGetCudaComputeCapability", "nvmlSystemGetDriverVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
    )  # fmt: skip
    return SimpleNamespace(NVMLError=NoAnswer, NVML_TEMPERATURE_GPU=0, **{name: ask(name) for name in names})


def test_one_gpu_with_this_run_and_another(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = [SimpleNamespace(pid=7, usedGpuMemory=100), SimpleNamespace(pid=42, usedGpuMemory=2_000)]
    answers = {
        "nvmlInit": None, "nvmlShutdown": None, "nvmlDeviceGetCount": 1, "nvmlDeviceGetHandleByIndex": object(),
        "nvmlDeviceGetName": b"NVIDIA H200", "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=5_000, total=10_000),
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=87), "nvmlDeviceGetTemperature": 54,
        "nvmlDeviceGetComputeRunningProcesses": processes,
    }  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", driver(**answers))
    assert read_gpus()[0].to_json(42) == {
        "index": 0, "name": "NVIDIA H200", "utilization_percent": 87.0, "memory_used_bytes": 5_000,
        "memory_total_bytes": 10_000, "process_memory_bytes": 2_000, "temperature_celsius": 54.0,
    }  # fmt: skip
    assert read_gpus()[0].memory_of(43) is None  # a container's PID, unknown to the driver


def test_what_a_driver_does_not_say_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"nvmlInit": None, "nvmlShutdown": None, "nvmlDeviceGetCount": 1, "nvmlDeviceGetHandleByIndex": object()}
    monkeypatch.setitem(sys.modules, "pynvml", driver(**few))
    found = read_gpus()[0]
    assert (found.name, found.utilization_percent, found.memory_used_bytes) == ("GPU 0", None, None)


def test_without_a_driver_or_library_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver())
    assert read_gpus() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_gpus() == []


@pytest.mark.parametrize(
    ("variable", "seen"),
    [(None, [0, 1, 2]), ("1", [1]), ("2, 0", [2, 0]), ("", []), ("-1", []), ("7", []), ("GPU-4b1f", [0, 1, 2])],
)
def test_the_gpus_that_a_training_may_use(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, seen: list[int]
) -> None:
    few = {"nvmlInit": None, "nvmlShutdown": None, "nvmlDeviceGetCount": 3, "nvmlDeviceGetHandleByIndex": object()}
    monkeypatch.setitem(sys.modules, "pynvml", driver(**few))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert [gpu.index for gpu in visible_gpus()] == seen
