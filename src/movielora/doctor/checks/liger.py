"""liger-kernel: is it there, and do its kernels run?"""

from __future__ import annotations

from movielora.doctor.check import Check, missing, ok, skipped
from movielora.doctor.requirements import Requirements
from movielora.machine.child import KernelProbe
from movielora.machine.gpu import Driver

_INSTALL = "pip install 'movielora[liger]'"


def check_liger(probe: KernelProbe, driver: Driver, requirements: Requirements) -> Check:
    """Absent is no fault, and broken is a warning, because `auto` takes the model's own kernels then; both are
    failures if the config asks for Liger."""
    if probe.usable:
        return ok("liger_kernel", probe.reason)
    if requirements.liger:
        reason = probe.reason if driver.gpus else "Liger needs a CUDA GPU, and there is none"
        needed = f"Liger kernels that run: {requirements.config} says `{requirements.liger}`"
        fix = _INSTALL if driver.gpus and not probe.installed else "--set enable_liger_kernel=auto"
        return missing("liger_kernel", reason, needed, fix, demanded=True)
    if not driver.gpus:
        return skipped("liger_kernel", "no GPU: the model's own kernels are used")
    if not probe.installed:
        return ok("liger_kernel", "not installed: the model's own kernels are used", _INSTALL)
    fix = "pip uninstall liger-kernel (movielora then uses the model's own kernels)"
    return missing("liger_kernel", probe.reason, "a liger-kernel that runs", fix, demanded=False)
