"""The interpreter and the system it runs on."""

from __future__ import annotations

import platform
import sys

from movielora.doctor.check import Check, failure, ok, warning

LEAST_PYTHON = (3, 11)
# torch's own wheels are built on manylinux_2_28.
LEAST_GLIBC = (2, 28)


def check_python(version: tuple[int, int, int] = sys.version_info[:3], executable: str = sys.executable) -> Check:
    found = ".".join(map(str, version))
    if version < LEAST_PYTHON:
        return failure("python", found, "Python 3.11 or newer", "create the environment with a newer Python")
    return ok("python", f"{found} at {executable}")


def check_platform(
    system: str = platform.system(), machine: str = platform.machine(), libc: tuple[str, str] | None = None
) -> Check:
    """`libc` is (name, version) as `platform.libc_ver` gives it."""
    name, version = platform.libc_ver() if libc is None else libc
    found = f"{system} {machine}, {name or 'C library'} {version or 'unknown'}"
    if system != "Linux":
        fix = "under Windows use WSL 2; elsewhere training runs on the CPU only"
        return warning("platform", found, "Linux, where CUDA training and detached runs are tested", fix)
    if name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < LEAST_GLIBC:
        return failure(
            "platform", found, "glibc 2.28 or newer, which torch's wheels need", "use a newer system or image"
        )
    return ok("platform", found)
