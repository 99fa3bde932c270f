"""Each check over described machines: GPUs are simulated by a fake NVML and a fake torch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import types
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from movielora.doctor.check import Check, failure, ok, overall, skipped, verdict, warning
from movielora.doctor.checks import hardware, services
from movielora.doctor.checks import pytorch as torch_checks
from movielora.doctor.checks.bitsandbytes import check_bitsandbytes
from movielora.doctor.checks.flash_attention import check_flash_attention, judge
from movielora.doctor.checks.folders import check_disk, check_write_permission
from movielora.doctor.checks.libraries import check_library, package_requirements
from movielora.doctor.checks.liger import check_liger
from movielora.doctor.checks.python import check_platform, check_python
from movielora.doctor.requirements import Requirements
from movielora.doctor.wheels import Machine, choose_wheel
from movielora.machine.child import KernelProbe, Outcome
from movielora.machine.gpu import Driver, Gpu, read_driver

GIB = 1 << 30
A100 = Gpu("NVIDIA A100-SXM4-40GB", 40 * GIB, GIB, "8.0")
T4 = Gpu("Tesla T4", 15 * GIB, 0, "7.5")
NO_DRIVER = Driver(problem="Driver Not Loaded")
DRIVER = Driver("550.54", "12.4", (A100,))
FLASH = Requirements(config="c.yaml", gpu="flash_attn: flash_attention_2", flash="flash_attn: flash_attention_2")


def _torch(**changes: object) -> Outcome:
    facts = {
        "version": "2.13.0+cu130",
        "cuda": "13.0",
        "abi": True,
        "architectures": ["sm_80", "sm_90"],
        "sees_gpu": True,
        "capability": "8.0",
        "problem": "",
    }
    return Outcome({**facts, **changes})


def test_python_and_platform() -> None:
    assert check_python((3, 10, 4), "python").status == "failure"
    assert check_python((3, 11, 0), "python").status == "ok"
    assert check_platform("Linux", "x86_64", ("glibc", "2.17")).status == "failure"
    assert check_platform("Linux", "x86_64", ("glibc", "2.28")).status == "ok"
    assert check_platform("Windows", "AMD64", ("", "")).status == "warning"


class _NvmlError(Exception):
    pass


def _fake_nvml(capability: tuple[int, int] = (8, 0), *, lists_processes: bool = True) -> types.SimpleNamespace:
    def processes(handle: object) -> list[types.SimpleNamespace]:
        if not lists_processes:
            raise _NvmlError("Not Supported")
        return [types.SimpleNamespace(pid=4242, usedGpuMemory=2 * GIB)]

    def refuse(*_: object) -> None:
        raise _NvmlError("Not Supported")

    return types.SimpleNamespace(
        NVMLError=_NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: b"550.54",
        nvmlSystemGetCudaDriverVersion_v2=lambda: 12040,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: "NVIDIA A100",
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(total=40 * GIB, used=GIB),
        nvmlDeviceGetCudaComputeCapability=lambda handle: capability,
        nvmlDeviceGetComputeRunningProcesses=processes,
        nvmlDeviceGetUtilizationRates=refuse,
        nvmlDeviceGetTemperature=refuse,
        NVML_TEMPERATURE_GPU=0,
    )


def test_the_driver_is_read_through_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _fake_nvml())
    driver = read_driver()
    assert (driver.version, driver.cuda) == ("550.54", "12.4")
    assert driver.gpus == (Gpu("NVIDIA A100", 40 * GIB, GIB, "8.0", ((4242, 2 * GIB),)),)
    monkeypatch.setitem(sys.modules, "pynvml", _fake_nvml(lists_processes=False))
    assert read_driver().gpus[0].processes == ()


def test_what_the_driver_does_not_say_of_a_gpu_is_shown_as_unknown() -> None:
    check = hardware.check_gpu(Driver("1", "12.4", (Gpu("a slice", None, None),)), Requirements(), 1, None)
    assert check.found == "a slice, unknown memory, compute capability unknown; driver 1 serves CUDA up to 12.4"


def test_no_driver_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = _fake_nvml()

    def refuse() -> None:
        raise _NvmlError("Driver Not Loaded")

    nvml.nvmlInit = refuse
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert read_driver() == NO_DRIVER


@pytest.mark.parametrize(
    ("driver", "requirements", "cards", "visible", "status", "fix"),
    [
        (DRIVER, Requirements(), 1, None, "ok", ""),
        (NO_DRIVER, Requirements(), 0, None, "warning", "training will use the CPU"),
        (NO_DRIVER, FLASH, 0, None, "failure", "--set flash_attn=auto"),
        (NO_DRIVER, Requirements(config="c.yaml", gpu="fp16: true"), 0, None, "failure", "--set fp16=false"),
        (NO_DRIVER, Requirements(), 1, None, "failure", "install NVIDIA's driver"),
        (DRIVER, Requirements(), 1, "", "warning", "unset CUDA_VISIBLE_DEVICES"),
        (DRIVER, FLASH, 1, "-1", "failure", "unset CUDA_VISIBLE_DEVICES"),
    ],
)
def test_gpu(
    driver: Driver, requirements: Requirements, cards: int, visible: str | None, status: str, fix: str
) -> None:
    check = hardware.check_gpu(driver, requirements, cards, visible)
    assert check.status == status
    assert fix in check.fix


def test_cards_on_the_bus_are_counted_without_a_driver(tmp_path: Path) -> None:
    for slot, (vendor, kind) in enumerate([("0x10de", "0x030200"), ("0x10de", "0x040300"), ("0x8086", "0x030000")]):
        device = tmp_path / f"0000:0{slot}"
        device.mkdir()
        (device / "vendor").write_text(vendor + "\n")
        (device / "class").write_text(kind + "\n")
    assert hardware.nvidia_cards_on_the_bus(tmp_path) == 1


def test_processor_and_memory() -> None:
    assert "no bf16 units" in hardware.check_processor(frozenset({"avx2"}), 4).found
    assert "amx_bf16" in hardware.check_processor(frozenset({"avx2", "amx_bf16"}), 4).found
    assert hardware.check_memory(16 * GIB, 12 * GIB, limit=0).status == "ok"
    assert hardware.check_memory(16 * GIB, 2 * GIB, limit=0).status == "warning"
    assert hardware.check_memory(64 * GIB, 60 * GIB, limit=3 * GIB).found == "3.0 of 3.0 GiB free"


def test_another_process_on_the_gpu_is_told() -> None:
    mine = Gpu("A100", GIB, 0, "8.0", ((os.getpid(), None),))
    others = Gpu("A100", GIB, 0, "8.0", ((2**22 + 1, 5 * GIB),))
    assert hardware.check_gpu_use(Driver("1", "12.4", (mine,))).status == "ok"
    busy = hardware.check_gpu_use(Driver("1", "12.4", (others,)))
    assert busy.status == "warning"
    assert "5.0 GiB" in busy.found
    assert hardware.check_gpu_use(NO_DRIVER).status == "skipped"


@pytest.mark.parametrize(
    ("outcome", "driver", "requirements", "status", "words"),
    [
        (_torch(), DRIVER, Requirements(), "ok", "2.13.0+cu130, CUDA 13.0, ABI TRUE"),
        (_torch(cuda=None, sees_gpu=False), NO_DRIVER, Requirements(), "ok", "CPU build"),
        (_torch(cuda=None, sees_gpu=False), DRIVER, Requirements(), "warning", "CPU build"),
        (_torch(cuda=None, sees_gpu=False), DRIVER, FLASH, "failure", "CPU build"),
        (_torch(sees_gpu=False), DRIVER, Requirements(), "failure", "the driver 550.54 serves CUDA up to 12.4"),
        (_torch(cuda="12.4", sees_gpu=False, problem="no device"), DRIVER, Requirements(), "failure", "no device"),
        (Outcome(None, "Traceback\nOSError: libcudnn.so.9: bad"), DRIVER, Requirements(), "failure", "libcudnn"),
    ],
)
def test_torch(outcome: Outcome, driver: Driver, requirements: Requirements, status: str, words: str) -> None:
    check = torch_checks.check_torch(outcome, driver, requirements)
    assert check.status == status
    assert words in check.found


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (("sm_80",), "8.0", True),
        (("sm_80",), "8.9", True),  # the same major version, a newer minor
        (("sm_86",), "8.0", False),
        (("sm_80",), "9.0", False),
        (("sm_80", "compute_80"), "9.0", True),  # PTX is compiled for what comes later
        (("sm_90a",), "9.0", True),
        (("sm_100a",), "10.3", False),  # code for one architecture alone
        (("sm_100",), "10.3", True),
        (("sm_120",), "12.1", True),
        (("compute_90",), "8.0", False),
        ((), "8.0", False),
    ],
)
def test_the_gpus_code_is_held_against_torchs(architectures: tuple[str, ...], capability: str, runs: bool) -> None:
    assert torch_checks.runs_on(architectures, capability) is runs
    check = torch_checks.check_torch_gpu_code(_torch(architectures=list(architectures), capability=capability))
    assert check.status == ("ok" if runs else "failure")


def test_torchs_facts_are_read_from_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system.")

    cuda = types.SimpleNamespace(is_available=lambda: False, init=refuse)
    fake = types.SimpleNamespace(
        __version__="2.5.1+cu124",
        cuda=cuda,
        version=types.SimpleNamespace(cuda="12.4"),
        compiled_with_cxx11_abi=lambda: False,
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    facts = torch_checks.torch_facts(Outcome(torch_checks.read_torch()))
    assert facts is not None
    assert (facts.cuda, facts.abi, facts.sees_gpu, facts.architectures) == ("12.4", False, False, ())
    assert "Found no NVIDIA driver" in facts.problem

    seen = types.SimpleNamespace(
        is_available=lambda: True, get_device_capability=lambda: (9, 0), get_arch_list=lambda: ["sm_90"]
    )
    monkeypatch.setattr(fake, "cuda", seen)
    facts = torch_checks.torch_facts(Outcome(torch_checks.read_torch()))
    assert facts is not None
    assert (facts.capability, facts.architectures) == ("9.0", ("sm_90",))


def test_cuda_toolkit_is_information(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "none"))
    assert torch_checks.check_cuda_toolkit().status == "warning"
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert "no nvcc" in torch_checks.check_cuda_toolkit().found
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n")
    nvcc.chmod(0o755)
    assert "nvcc 12.4" in torch_checks.check_cuda_toolkit().found


def test_bf16_speed() -> None:
    slow, fast = Outcome({"fp32": 100.0, "bf16": 4.0}), Outcome({"fp32": 100.0, "bf16": 300.0})
    wish = Requirements(config="c.yaml", bf16="bf16: true")
    assert torch_checks.check_bf16_speed(fast, wish, gpu=False).status == "ok"
    assert torch_checks.check_bf16_speed(slow, Requirements(), gpu=False).status == "ok"
    refused = torch_checks.check_bf16_speed(slow, wish, gpu=False)
    assert (refused.status, refused.fix) == ("warning", "--set bf16=false")
    assert torch_checks.check_bf16_speed(slow, wish, gpu=True).status == "skipped"


def _flash(probe: KernelProbe, driver: Driver, requirements: Requirements, **torch: object) -> Check:
    facts = torch_checks.torch_facts(_torch(**torch))
    return check_flash_attention(judge(probe, facts, driver), driver, requirements)


ABSENT = KernelProbe(None, False, "flash-attn is not installed")
BROKEN = KernelProbe(
    "2.8.3",
    False,
    "flash-attn 2.8.3 does not load",
    "ImportError: x.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs",
)


def test_liger_is_offered_where_it_is_absent_and_demanded_where_a_config_asks() -> None:
    wish = Requirements(config="c.yaml", gpu="enable_liger_kernel: true", liger="enable_liger_kernel: true")
    absent = KernelProbe(None, False, "liger-kernel is not installed")
    broken = KernelProbe("0.8.5", False, "liger-kernel 0.8.5 fails: RuntimeError: Failed to find C compiler.")
    works = KernelProbe("0.8.5", True, "liger-kernel 0.8.5 agrees with Qwen3's own, forward and backward")
    assert check_liger(works, DRIVER, wish).status == "ok"
    assert check_liger(absent, NO_DRIVER, Requirements()).status == "skipped"
    offered = check_liger(absent, DRIVER, Requirements())
    assert (offered.status, offered.fix) == ("ok", "pip install 'movielora[liger]'")
    asked = check_liger(absent, DRIVER, wish)
    assert (asked.status, asked.fix) == ("failure", "pip install 'movielora[liger]'")
    assert check_liger(broken, DRIVER, Requirements()).status == "warning"
    refused = check_liger(broken, DRIVER, wish)
    assert (refused.status, refused.fix) == ("failure", "--set enable_liger_kernel=auto")
    assert "c.yaml says `enable_liger_kernel: true`" in refused.needed


def test_liger_that_a_config_asks_for_needs_a_gpu() -> None:
    wish = Requirements(config="c.yaml", gpu="enable_liger_kernel: true", liger="enable_liger_kernel: true")
    unasked = KernelProbe("0.8.5", False, "liger-kernel 0.8.5 fails: not asked")
    found = check_liger(unasked, NO_DRIVER, wish)
    assert (found.status, found.fix) == ("failure", "--set enable_liger_kernel=auto")
    assert found.found == "Liger needs a CUDA GPU, and there is none"


def test_flash_attention_that_works() -> None:
    good = KernelProbe("2.8.3", True, "flash-attn 2.8.3 agrees with sdpa, forward and backward")
    assert _flash(good, DRIVER, FLASH).status == "ok"


def test_flash_attention_that_is_absent() -> None:
    assert _flash(ABSENT, NO_DRIVER, Requirements()).status == "skipped"
    assert _flash(ABSENT, DRIVER, Requirements()).status == "skipped"  # no wheel for torch 2.13
    facts = torch_checks.torch_facts(_torch(version="2.8.0", cuda="12.8"))
    found = replace(judge(ABSENT, facts, DRIVER), choice=choose_wheel(Machine("3.11", "2.8.0", "12.8", glibc="2.36")))
    offered = check_flash_attention(found, DRIVER, Requirements())
    assert offered.status == "ok"
    assert offered.fix.startswith("pip install https://")
    asked = _flash(ABSENT, DRIVER, FLASH)
    assert (asked.status, asked.fix) == ("failure", "--set flash_attn=auto")


def test_flash_attention_that_is_broken_names_cause_and_fix() -> None:
    check = _flash(BROKEN, DRIVER, Requirements())
    assert check.status == "warning"
    assert "without the C++11 ABI" in check.found
    assert "pip uninstall flash-attn" in check.fix
    assert _flash(BROKEN, DRIVER, FLASH).status == "failure"


def test_flash_attention_on_a_gpu_that_is_too_old() -> None:
    driver = Driver("550.54", "12.4", (T4,))
    check = _flash(ABSENT, driver, FLASH, capability="7.5")
    assert check.status == "failure"
    assert check.fix == "--set flash_attn=auto"
    skipped_check = _flash(ABSENT, driver, Requirements(), capability="7.5")
    assert skipped_check.status == "skipped"
    assert "compute capability 8.0 or more" in skipped_check.found


FOUR_BIT = Requirements(config="c.yaml", four_bit="use_qlora: true")


def _four_bit(**changes: object) -> Outcome:
    facts = {"version": "0.50.2", "device": "cpu", "forward_error": 0.003, "backward_error": 0.003}
    return Outcome({**facts, **changes})


def test_bitsandbytes() -> None:
    assert check_bitsandbytes(_four_bit(), FOUR_BIT, "").status == "ok"
    assert check_bitsandbytes(_four_bit(backward_error=0.4), FOUR_BIT, "").status == "failure"
    assert check_bitsandbytes(_four_bit(forward_error=float("nan")), Requirements(), "").status == "warning"
    wrong = check_bitsandbytes(_four_bit(), FOUR_BIT, "999")
    assert (wrong.status, wrong.fix) == ("failure", "unset BNB_CUDA_VERSION")
    crashed = check_bitsandbytes(Outcome(None, "RuntimeError: CUDA VERSION MISMATCH"), FOUR_BIT, "")
    assert (crashed.status, crashed.fix) == ("failure", "unset BNB_CUDA_VERSION")
    unknown = check_bitsandbytes(Outcome(None, "the process was ended by SIGSEGV"), Requirements(), "")
    assert (unknown.status, unknown.found) == ("warning", "the process was ended by SIGSEGV")


def test_libraries_are_held_against_the_packages_own_metadata() -> None:
    wanted = package_requirements(["trl<2,>=1.14", "flash-attn>=2.7.4; extra == 'flash'"])
    assert list(wanted) == ["trl"]
    assert check_library("trl", wanted["trl"], lambda name: "1.16.0").status == "ok"
    old = check_library("trl", wanted["trl"], lambda name: "0.9.6")
    assert old.status == "failure"
    assert old.fix.startswith("pip install 'trl")
    assert {"transformers", "trl", "peft", "datasets", "accelerate"} <= set(package_requirements())


def test_without_its_own_metadata_the_versions_are_named_and_not_judged(tmp_path: Path) -> None:
    """On a machine where movielora runs from its source files, and only its libraries are installed."""
    hidden = (
        "import sys; from importlib import metadata\n"
        "found = metadata.Distribution.from_name.__func__\n"
        "def from_name(cls, name):\n"
        "    if name == 'movielora': raise metadata.PackageNotFoundError(name)\n"
        "    return found(cls, name)\n"
        "metadata.Distribution.from_name = classmethod(from_name)\n"
        "from movielora.cli import main\n"
        "sys.argv = ['movielora', 'doctor', '--json', '--only', 'trl']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [trl] = json.loads(done.stdout)["checks"]
    assert trl["status"] == "warning"
    assert trl["found"] == version("trl")
    assert "source folder" in trl["fix"]


def test_disk_and_permission(tmp_path: Path) -> None:
    target = tmp_path / "not" / "yet"
    assert check_disk("disk_output", target, lambda folder: 100 * GIB).status == "ok"
    assert check_disk("disk_output", target, lambda folder: 2 * GIB).status == "warning"
    assert check_disk("disk_output", target, lambda folder: 0).status == "failure"
    assert check_write_permission(target).status == "ok"
    file = tmp_path / "file"
    file.touch()
    assert check_write_permission(file / "out").status == "failure"


def test_tensorboard_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = services.check_tensorboard_port(port)
        assert busy.status == "warning"
        assert f"--port {port + 1}" in busy.fix
    assert services.check_tensorboard_port(port).status == "ok"
    assert services.check_tensorboard_port(port, wanted=False).status == "skipped"


@pytest.mark.parametrize(
    ("settings", "user", "lingers", "status"),
    [
        ("", "ann", False, "ok"),
        ("#KillUserProcesses=yes", "ann", False, "ok"),
        ("KillUserProcesses=yes", "ann", False, "warning"),
        ("KillUserProcesses=yes", "ann", True, "ok"),
        ("KillUserProcesses=yes", "root", False, "ok"),
        ("KillUserProcesses=yes\nKillExcludeUsers=ann", "ann", False, "ok"),
        ("KillUserProcesses=yes\nKillOnlyUsers=bob", "ann", False, "ok"),
    ],
)
def test_logind(tmp_path: Path, settings: str, user: str, lingers: bool, status: str) -> None:
    (tmp_path / "logind.conf").write_text(f"[Login]\n{settings}\n")
    linger = tmp_path / "linger"
    linger.mkdir()
    if lingers:
        (linger / user).touch()
    assert services.check_logind([tmp_path], True, user, linger).status == status


def test_logind_drop_ins_win_and_no_systemd_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "logind.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    (tmp_path / "logind.conf.d").mkdir()
    (tmp_path / "logind.conf.d" / "50-mine.conf").write_text("[Login]\nKillUserProcesses=no\n")
    assert services.check_logind([tmp_path], True, "ann", tmp_path).status == "ok"
    assert services.check_logind([tmp_path], False, "ann", tmp_path).status == "skipped"


def test_the_verdict_names_what_is_wrong() -> None:
    fine, odd, bad = ok("python", "3.11"), warning("gpu", "none", "one", "fix"), failure("torch", "no", "yes", "fix")
    assert (overall([fine]), verdict([fine, skipped("x", "y")])) == ("ok", "Ready: all is well.")
    assert (overall([fine, odd]), verdict([fine, odd])) == ("warning", "Ready, with 1 warning (gpu).")
    assert (overall([odd, bad]), verdict([odd, bad])) == ("failure", "Not ready: 1 check failed (torch).")
