"""What this processor can compute fast."""

from __future__ import annotations

from pathlib import Path

# Without one of these, bf16 on a CPU is emulated and can be tens of times slower than fp32.
FAST_BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The kernel's names of what the processor has, such as `avx512_bf16`; empty if the kernel does not say."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(flag for name, _, rest in lines if name.strip() in ("flags", "Features") for flag in rest.split())


def computes_bf16_fast(flags: frozenset[str]) -> bool:
    return any(flag in flags for flag in FAST_BF16_FLAGS)
