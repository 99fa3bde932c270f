"""`doctor wheel`: this machine, or the one described, then the choice, then whether the server has the file."""

from __future__ import annotations

import platform
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from movielora.doctor.checks.flash_attention import this_machine
from movielora.doctor.checks.pytorch import TORCH_TARGET, torch_facts
from movielora.doctor.wheels import INSTEAD, Choice, Machine, Wheel, choose_wheel, minor, torch_build
from movielora.errors import ConfigError
from movielora.machine.child import run_probes
from movielora.machine.gpu import read_driver

Answer = Literal["there", "absent", "not checked"]

_TORCH_SECONDS = 60.0
_SERVER_SECONDS = 10.0


@dataclass(frozen=True)
class Description:
    """The options as written; None if not given."""

    python: str | None = None
    torch: str | None = None
    cuda: str | None = None
    abi: str | None = None
    machine: str | None = None
    glibc: str | None = None
    capability: str | None = None


def describe_machine(given: Description) -> Machine:
    """This machine with what is given put in its place.

    Another torch or CUDA is another installation: its ABI and C library then follow from torch's build, not from
    what is here. Raises ConfigError for a value that is no version.
    """
    for version in (given.python, given.torch, given.cuda, given.glibc, given.capability):
        if version is not None:
            minor(version)
    if given.torch is None:
        here = this_machine(torch_facts(run_probes({"torch": TORCH_TARGET}, _TORCH_SECONDS)["torch"]), read_driver())
    else:
        here = Machine(platform.python_version(), None, None, machine=platform.machine(), system=platform.system())
    another = given.torch is not None or given.cuda is not None
    return replace(
        here,
        python=given.python or here.python,
        torch=given.torch or here.torch,
        cuda=given.cuda or (_cuda_of(given.torch) if given.torch else here.cuda),
        abi=_flag(given.abi) if given.abi is not None else (None if another else here.abi),
        machine=given.machine or here.machine,
        glibc=given.glibc or (None if another else here.glibc),
        capability=given.capability or (None if another else here.capability),
        system="Linux" if given.machine else here.system,
    )


def _cuda_of(torch: str) -> str | None:
    """`2.5.1+cu124` → 12.4, `+cpu` → None; without a suffix, the CUDA of PyPI's build."""
    suffix = torch.partition("+")[2]
    if suffix == "cpu":
        return None
    if suffix.startswith("cu") and suffix[2:].isdigit() and len(suffix) > 3:
        return f"{suffix[2:-1]}.{suffix[-1]}"
    return str(torch_build(torch)["cuda"])


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ConfigError(
            f"--abi {text} is neither true nor false",
            "python -c 'import torch; print(torch._C._GLIBCXX_USE_CXX11_ABI)'",
        )
    return text.lower() == "true"


def choose_and_check(machine: Machine, base_url: str, ask: Callable[[str], Answer] | None) -> tuple[Choice, Answer]:
    """The choice, and whether the server has the file; a plan is no promise, so absent ones give way to older ones."""
    if base_url and not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"--base-url {base_url} is no web address", "begin it with https://")
    choice = choose_wheel(machine, base_url)
    if ask is None or choice.wheel is None:
        return choice, "not checked"
    absent: list[Wheel] = []
    for wheel in (choice.wheel, *choice.older):
        answer = ask(wheel.url)
        if answer != "absent":
            missing = f"; not on the server: {', '.join(each.version for each in absent)}" if absent else ""
            return Choice(wheel, choice.reason + missing), answer
        absent.append(wheel)
    versions = ", ".join(dict.fromkeys(each.version for each in absent))
    return Choice(None, f"the server has no file for this machine (asked for {versions}): {INSTEAD}"), "absent"


def ask_server(url: str) -> Answer:
    """HTTP HEAD: 404 is absent; anything that is no answer about the file leaves it unchecked."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (https, or a mirror the user names)
    try:
        with urllib.request.urlopen(request, timeout=_SERVER_SECONDS):  # noqa: S310
            return "there"
    except urllib.error.HTTPError as error:
        return "absent" if error.code in (404, 410) else "not checked"
    except (OSError, ValueError):
        return "not checked"
