"""flash-attn: is it there, does it run, and which wheel would fit."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from movielora.doctor.check import Check, failure, missing, ok, skipped
from movielora.doctor.checks.pytorch import TorchFacts
from movielora.doctor.failures import explain
from movielora.doctor.requirements import Requirements
from movielora.doctor.wheels import Choice, Machine, choose_wheel
from movielora.machine.child import KernelProbe
from movielora.machine.gpu import Driver
from movielora.model.kernels.attention import installed_flash_attn

_NEEDED = "a flash-attn that runs"


@dataclass(frozen=True)
class FlashAttention:
    """What `doctor --json` says of flash attention: the probe's verdict and the wheel for this machine."""

    probe: KernelProbe
    choice: Choice

    def as_json(self) -> dict[str, object]:
        wheel = self.choice.wheel
        reasons = [self.probe.reason] if self.probe.usable or wheel else [self.probe.reason, self.choice.reason]
        return {
            "installed": self.probe.installed,
            "usable": self.probe.usable,
            "reason": "; ".join(dict.fromkeys(reasons)),
            "wheel": wheel.file if wheel else None,
            "url": wheel.url if wheel else None,
            "command": wheel.command if wheel else None,
        }


def this_machine(facts: TorchFacts | None, driver: Driver) -> Machine:
    """This machine as the wheel table wants it described."""
    name, version = platform.libc_ver()
    return Machine(
        python=platform.python_version(),
        torch=facts.version if facts else None,
        cuda=facts.cuda if facts else None,
        abi=facts.abi if facts else None,
        machine=platform.machine(),
        glibc=version if name == "glibc" else None,
        capability=(driver.gpus[0].capability or None) if driver.gpus else None,
        system=platform.system(),
    )


def judge(probe: KernelProbe, facts: TorchFacts | None, driver: Driver) -> FlashAttention:
    return FlashAttention(probe, choose_wheel(this_machine(facts, driver)))


def not_examined() -> FlashAttention:
    """The result if `--only` leaves this check out."""
    reason = "not examined (--only leaves flash_attention out)"
    return FlashAttention(KernelProbe(installed_flash_attn(), False, reason), Choice(None, reason))


def check_flash_attention(found: FlashAttention, driver: Driver, requirements: Requirements) -> Check:
    """Broken is a warning, because `flash_attn: auto` takes sdpa then; a failure if the config names the kernel."""
    probe, wheel = found.probe, found.choice.wheel
    asked = f"{_NEEDED}: {requirements.config} says `{requirements.flash}`" if requirements.flash else _NEEDED
    if probe.usable:
        return ok("flash_attention", probe.reason)
    if requirements.flash:
        fix = wheel.command if wheel and driver.gpus else "--set flash_attn=auto"
        return failure("flash_attention", _with_cause(probe), asked, fix)
    if probe.installed and probe.error:
        fix = wheel.command if wheel else "pip uninstall flash-attn (movielora then uses sdpa)"
        return missing("flash_attention", _with_cause(probe), asked, fix, demanded=False)
    if not driver.gpus:
        return skipped("flash_attention", "no GPU: sdpa is used")
    if wheel and not probe.installed:
        return ok("flash_attention", "not installed: sdpa is used", wheel.command)
    return skipped("flash_attention", f"sdpa is used: {found.choice.reason if not probe.installed else probe.reason}")


def _with_cause(probe: KernelProbe) -> str:
    """The probe's reason, and its cause if the error's text is a known one."""
    known = explain(probe.error)
    return f"flash-attn {probe.installed} does not load: {known[0].cause}" if known else probe.reason
