"""bitsandbytes: a real 4-bit operation, because its library is loaded at the first one and not at the import."""

from __future__ import annotations

import os

from movielora.doctor.check import Check, missing, ok
from movielora.doctor.failures import explain
from movielora.doctor.requirements import Requirements
from movielora.machine.child import Outcome

# bf16 keeps 8 bits: a layer computed in it differs from fp32 by well under this share of its largest value.
_ALLOWED_ERROR = 0.02
_REPAIR = "pip install --force-reinstall bitsandbytes"


def check_bitsandbytes(outcome: Outcome, requirements: Requirements, override: str | None = None) -> Check:
    """`override` is BNB_CUDA_VERSION as set. Without 4-bit training asked for, trouble here is a warning."""
    override = os.environ.get("BNB_CUDA_VERSION") if override is None else override
    needed = (
        f"a 4-bit layer that runs: {requirements.config} says `{requirements.four_bit}`"
        if requirements.four_bit
        else "4-bit layers"
    )
    demanded = bool(requirements.four_bit)
    if outcome.value is None:
        known = explain(outcome.error)
        found = known[0].cause if known else outcome.last_line
        fix = known[0].command if known else _REPAIR
        if override:
            found, fix = f"{found} (BNB_CUDA_VERSION={override})", "unset BNB_CUDA_VERSION"
        return missing("bitsandbytes", found, needed, fix, demanded=demanded)
    version, device = outcome.value["version"], outcome.value["device"]
    worst = max(float(outcome.value["forward_error"]), float(outcome.value["backward_error"]))
    if not worst < _ALLOWED_ERROR:
        found = f"{version} on {device}: its results are off by {worst:.0%} of the largest value"
        return missing("bitsandbytes", found, needed, _REPAIR, demanded=demanded)
    if override and not is_known_override(override):
        found = f"{version}, and BNB_CUDA_VERSION={override} names no library of it"
        return missing("bitsandbytes", found, "no override", "unset BNB_CUDA_VERSION", demanded=demanded)
    return ok("bitsandbytes", f"{version}: 4-bit forward and backward run on {device}")


def is_known_override(override: str) -> bool:
    """Whether the installed package holds the library that BNB_CUDA_VERSION names; it has no fallback then."""
    from importlib import metadata

    try:
        files = metadata.files("bitsandbytes") or []
    except metadata.PackageNotFoundError:
        return False
    return any(file.name == f"libbitsandbytes_cuda{override}.so" for file in files)
