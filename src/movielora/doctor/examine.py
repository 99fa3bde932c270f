"""Is this machine ready? The recipe: ask the driver, ask torch in a child process, then judge subject by subject."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from movielora.config import ResolvedConfig
from movielora.doctor.check import Check, overall, verdict
from movielora.doctor.checks.bitsandbytes import check_bitsandbytes
from movielora.doctor.checks.data import check_data
from movielora.doctor.checks.flash_attention import FlashAttention, check_flash_attention, judge, not_examined
from movielora.doctor.checks.folders import check_disk, check_write_permission
from movielora.doctor.checks.hardware import (
    check_gpu,
    check_gpu_use,
    check_memory,
    check_processor,
    nvidia_cards_on_the_bus,
)
from movielora.doctor.checks.libraries import LIBRARIES, check_library, package_requirements
from movielora.doctor.checks.liger import check_liger
from movielora.doctor.checks.model import ARCHITECTURES_TARGET, check_hugging_face, check_model
from movielora.doctor.checks.python import check_platform, check_python
from movielora.doctor.checks.pytorch import (
    SPEED_TARGET,
    TORCH_TARGET,
    check_bf16_speed,
    check_cuda_toolkit,
    check_torch,
    check_torch_gpu_code,
    torch_facts,
)
from movielora.doctor.checks.services import check_launcher, check_logind, check_tensorboard_port
from movielora.doctor.fit import outlook_of
from movielora.doctor.requirements import Requirements, read_requirements
from movielora.errors import ConfigError, RequestError
from movielora.machine.child import Outcome, run_probes
from movielora.machine.gpu import Driver, read_driver
from movielora.machine.process_settings import settings_undone
from movielora.model.hub import cache_folder
from movielora.model.kernels.attention import FLASH_TARGET, installed_flash_attn, read_flash_probe
from movielora.model.kernels.liger import LIGER_TARGET, installed_liger, read_liger_probe
from movielora.model.quantization import FOUR_BIT_TARGET
from movielora.progress import Reporter
from movielora.training.outlook import Outlook

# One child's limit: torch's import on a slow disk, and a cold CUDA start.
_CHILD_SECONDS = 60.0
_NOT_ASKED = Outcome(None, "not asked")


@dataclass(frozen=True)
class Findings:
    """Everything the checks judge, gathered before them. `environment` is the one that doctor was started in."""

    resolved: ResolvedConfig | None
    requirements: Requirements
    driver: Driver
    probes: Mapping[str, Outcome]
    flash: FlashAttention
    environment: Mapping[str, str]
    outlook: Outlook | None = None

    @property
    def run_bytes(self) -> int:
        """What the run folder is known to need."""
        return self.outlook.disk.run_bytes if self.outlook else 0

    @property
    def download_bytes(self) -> int:
        return self.outlook.download.missing_bytes if self.outlook else 0


@dataclass(frozen=True)
class Diagnosis:
    """`outlook`: what the config's training costs; None without a config, with --only, or if that cannot be known."""

    checks: tuple[Check, ...]
    flash: FlashAttention
    outlook: Outlook | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "status": overall(self.checks),
            "verdict": verdict(self.checks),
            "checks": [check.as_json() for check in self.checks],
            "flash_attention": self.flash.as_json(),
            "outlook": self.outlook.to_json() if self.outlook else None,
        }

    def failed(self, *, strict: bool) -> bool:
        """`strict`: a warning counts too."""
        return overall(self.checks) in (("failure", "warning") if strict else ("failure",))


_TARGETS = {
    "torch": TORCH_TARGET,
    "speed": SPEED_TARGET,
    "architectures": ARCHITECTURES_TARGET,
    "four_bit": FOUR_BIT_TARGET,
    "liger": LIGER_TARGET,
    "flash": FLASH_TARGET,  # last: it is the likeliest to take the child down
}


def _library(name: str) -> Callable[[Findings], Check]:
    return lambda found: check_library(name, package_requirements().get(name))


# name → (the check, the probes it reads); the order is that of the output.
CHECKS: dict[str, tuple[Callable[[Findings], Check], tuple[str, ...]]] = {
    "python": (lambda found: check_python(), ()),
    "platform": (lambda found: check_platform(), ()),
    "processor": (lambda found: check_processor(gpu=bool(found.driver.gpus)), ()),
    "memory": (lambda found: check_memory(), ()),
    "gpu": (lambda found: _gpu(found), ()),
    "gpu_use": (lambda found: check_gpu_use(found.driver), ()),
    "torch": (lambda found: check_torch(found.probes["torch"], found.driver, found.requirements), ("torch",)),
    "torch_gpu_code": (lambda found: check_torch_gpu_code(found.probes["torch"]), ("torch",)),
    "cuda_toolkit": (lambda found: check_cuda_toolkit(), ()),
    "flash_attention": (
        lambda found: check_flash_attention(found.flash, found.driver, found.requirements),
        ("torch", "flash"),
    ),
    "liger_kernel": (
        lambda found: check_liger(read_liger_probe(found.probes["liger"]), found.driver, found.requirements),
        ("liger",),
    ),
    "bitsandbytes": (lambda found: check_bitsandbytes(found.probes["four_bit"], found.requirements), ("four_bit",)),
    "bf16_speed": (
        lambda found: check_bf16_speed(found.probes["speed"], found.requirements, bool(found.driver.gpus)),
        ("speed",),
    ),
    **{name: (_library(name), ()) for name in LIBRARIES},
    "hugging_face": (lambda found: check_hugging_face(), ()),
    "model": (lambda found: check_model(found.requirements, found.probes["architectures"]), ("architectures",)),
    "data": (lambda found: check_data(found.resolved), ()),
    "disk_output": (
        lambda found: check_disk("disk_output", found.requirements.output_dir, needed=found.run_bytes),
        (),
    ),
    "disk_cache": (lambda found: check_disk("disk_cache", cache_folder(), needed=found.download_bytes), ()),
    "write_permission": (lambda found: check_write_permission(found.requirements.output_dir), ()),
    "launcher": (lambda found: check_launcher(found.environment), ()),
    "tensorboard_port": (lambda found: check_tensorboard_port(wanted=found.requirements.tensorboard), ()),
    "logind": (lambda found: check_logind(), ()),
}


def examine(resolved: ResolvedConfig | None, only: Sequence[str], reporter: Reporter) -> Diagnosis:
    """Run the checks named in `only`, or all. Raises ConfigError for a name that is no check."""
    names = _select(only)
    requirements = read_requirements(resolved)
    environment = dict(os.environ)
    with settings_undone(one_process=False), reporter.phase("Looking at this machine"):
        driver = read_driver()
        probes = _ask(names, requirements, driver)
        if "flash_attention" in names:
            flash = judge(read_flash_probe(probes["flash"]), torch_facts(probes["torch"]), driver)
        else:
            flash = not_examined()
        outlook = _outlook(resolved) if resolved and not only else None
        found = Findings(resolved, requirements, driver, probes, flash, environment, outlook)
        return Diagnosis(tuple(CHECKS[name][0](found) for name in names), flash, outlook)


def _outlook(resolved: ResolvedConfig) -> Outlook | None:
    """What the training costs; None if model or data are damaged, which the checks report."""
    try:
        return outlook_of(resolved)
    except RequestError:
        return None


def _select(only: Sequence[str]) -> list[str]:
    unknown = [name for name in only if name not in CHECKS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], CHECKS, n=1)
        guess = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"there is no check `{unknown[0]}`", f"{guess}the checks are: {', '.join(CHECKS)}")
    return [name for name in CHECKS if name in only] if only else list(CHECKS)


def _ask(names: Sequence[str], requirements: Requirements, driver: Driver) -> dict[str, Outcome]:
    """The probes these checks read, in one child process; the others are `not asked`."""
    needed = {probe for name in names for probe in CHECKS[name][1]}
    if installed_flash_attn() is None:
        needed.discard("flash")
    if installed_liger() is None or not driver.gpus:
        needed.discard("liger")
    if not requirements.model_at.is_dir() or not requirements.model:
        needed.discard("architectures")
    if driver.gpus:
        needed.discard("speed")
    asked = {name: target for name, target in _TARGETS.items() if name in needed}
    answers = run_probes(asked, _CHILD_SECONDS) if asked else {}
    return {name: answers.get(name, _NOT_ASKED) for name in _TARGETS}


def _gpu(found: Findings) -> Check:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return check_gpu(found.driver, found.requirements, nvidia_cards_on_the_bus(), visible)
