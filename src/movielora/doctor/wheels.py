"""Which flash-attn wheel fits a machine: a pure choice over the table `wheels.json`.

A wheel's name holds its release, the CUDA major, torch's minor version, the C++ ABI, Python and the machine. What
the name does not say is in the table too: the C library it needs, the GPUs it holds code for, and the wheels whose
name lies about their ABI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from movielora.errors import ConfigError, shell_command

_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
INSTEAD = "keep flash_attn: auto, which uses sdpa"


@dataclass(frozen=True)
class Machine:
    """What a wheel must fit. Versions are text such as `2.5.1`; None is unknown, `cuda` None a CPU build of torch.

    An unknown ABI is the one of PyPI's torch. An unknown C library is the oldest that torch's build runs on.
    """

    python: str
    torch: str | None
    cuda: str | None
    abi: bool | None = None
    machine: str = "x86_64"
    glibc: str | None = None
    capability: str | None = None
    system: str = "Linux"


@dataclass(frozen=True)
class Wheel:
    version: str
    file: str
    url: str

    @property
    def command(self) -> str:
        return shell_command("pip", "install", self.url)


@dataclass(frozen=True)
class Choice:
    """The newest wheel that fits and the older ones that fit too; or None, and in `reason` why and what instead."""

    wheel: Wheel | None
    reason: str
    older: tuple[Wheel, ...] = ()

    def as_json(self, checked: str = "not checked") -> dict[str, str | None]:
        found = self.wheel
        return {
            "wheel": found.file if found else None,
            "url": found.url if found else None,
            "command": found.command if found else None,
            "checked": checked,
            "reason": self.reason,
        }


@cache
def table() -> dict[str, Any]:
    """The releases newest first, and what torch's own builds need; its source and date are inside."""
    text = resources.files("movielora.doctor").joinpath("wheels.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def numbers(version: str) -> tuple[int, ...]:
    """`2.5.1+cu124` → (2, 5, 1). Raises ConfigError for what is no version."""
    try:
        return tuple(int(part) for part in version.partition("+")[0].split("."))
    except ValueError:
        raise ConfigError(f"`{version}` is no version", "write numbers with dots, such as 2.5.1") from None


def minor(version: str) -> str:
    """`2.5.1` → `2.5`. Raises ConfigError if there is no second number."""
    parts = numbers(version)
    if len(parts) < 2:
        raise ConfigError(f"version `{version}` lacks its second number", f"write {version}.x in full")
    return f"{parts[0]}.{parts[1]}"


def torch_build(torch: str, cuda: str | None = None) -> Mapping[str, Any]:
    """What PyPI's or torch's own index's build of a torch version is: its CUDA, ABI and least C library."""
    wanted = numbers(minor(torch))
    rows: list[dict[str, Any]] = table()["torch"]
    fits = (row for row in rows if wanted <= numbers(row["up_to"]))
    return next(row for row in fits if "only_cuda" not in row or (cuda and minor(cuda) == row["only_cuda"]))


@dataclass(frozen=True)
class _Target:
    """A machine with nothing left open: what a table row is compared with."""

    python: str
    torch: str
    cuda_major: str
    abi: bool
    machine: str
    glibc: str
    glibc_known: bool
    capability: str | None


def choose_wheel(machine: Machine, base_url: str = "") -> Choice:
    """The newest official wheel that fits, or why there is none. Pure: asks neither this machine nor the network.

    Where the C library is unknown, a wheel that runs on the oldest one of this torch comes first; one that needs a
    newer library is named only if nothing else fits, with its condition.
    """
    hindrance = _hindrance(machine)
    if hindrance or machine.torch is None or machine.cuda is None:
        return Choice(None, f"{hindrance}: {INSTEAD}")
    target = _resolve(machine, machine.torch, machine.cuda)
    rows = [(row, list(_obstacles(target, row))) for row in table()["releases"]]
    fitting = [row for row, obstacles in rows if not obstacles]
    if fitting:
        newer = _refusals(rows[: rows.index((fitting[0], []))], at_most=1)
        reason = f"the newest for {_describe(machine, target)}" + (f"; newer: {newer[0]}" if newer else "")
        return _choice(target, fitting, reason + _added_later(fitting[0]), base_url)
    if not target.glibc_known:
        free = replace(target, glibc="999", glibc_known=True)
        unsure = [row for row, _ in rows if not list(_obstacles(free, row))]
        if unsure:
            condition = f"it needs glibc {unsure[0]['glibc']} or newer: compare with `ldd --version`"
            return _choice(target, unsure, f"the newest for {_describe(machine, target)}; {condition}", base_url)
    same_torch = [(row, obstacles) for row, obstacles in rows if _between(target.torch, row["torch"])] or rows
    nearest = _refusals(same_torch, at_most=min(len(obstacles) for _, obstacles in same_torch))
    return Choice(None, f"{nearest[0]}: {INSTEAD}")


def _choice(target: _Target, rows: list[dict[str, Any]], reason: str, base_url: str) -> Choice:
    newest, *older = [_wheel(target, row, version, base_url) for row in rows for version in row["versions"]]
    return Choice(newest, reason, tuple(older))


def _added_later(row: Mapping[str, Any]) -> str:
    return "; added after its release, so ask with --check" if row.get("added_later") else ""


def _hindrance(machine: Machine) -> str:
    """What rules out every release, in words; empty if nothing does."""
    least = table()["least_capability"]
    if machine.capability and numbers(machine.capability) < numbers(least):
        return f"FlashAttention-2 needs compute capability {least} or more, and this GPU has {machine.capability}"
    if machine.system != "Linux":
        return f"official wheels are for Linux only, and this is {machine.system}"
    if machine.torch is None:
        return "torch is not installed, so no wheel can be matched to it"
    if machine.cuda is None:
        return f"torch {machine.torch} is a CPU build, and flash attention needs a CUDA one"
    newest = max((numbers(row["torch"][1]), row["torch"][1]) for row in table()["releases"])
    if numbers(minor(machine.torch)) > newest[0]:
        return f"no official wheel is known for torch {minor(machine.torch)} (the newest are for torch {newest[1]})"
    return ""


def _resolve(machine: Machine, torch: str, cuda: str) -> _Target:
    """Fill in what the description leaves open from what torch's own build of that version is."""
    build = torch_build(torch, cuda)
    name = machine.machine.lower()
    return _Target(
        python=minor(machine.python),
        torch=minor(torch),
        cuda_major=str(numbers(cuda)[0]),
        abi=bool(build["abi"]) if machine.abi is None else machine.abi,
        machine=_ALIASES.get(name, name),
        glibc=machine.glibc or str(build["glibc"]),
        glibc_known=machine.glibc is not None,
        capability=machine.capability,
    )


def _refusals(rows: list[tuple[dict[str, Any], list[str]]], at_most: int) -> list[str]:
    """Why releases do not fit, newest first: only those that few things keep away are worth a word."""
    return [
        f"flash-attn {row['versions'][0]} {' and '.join(obstacles)}"
        for row, obstacles in rows
        if 0 < len(obstacles) <= at_most
    ]


def _obstacles(target: _Target, row: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a release from a machine, each as the rest of a sentence that begins with the release."""
    if not _between(target.torch, row["torch"]):
        yield f"has wheels for torch {_span(row['torch'])}, not {target.torch}"
    if target.cuda_major not in row["cuda"]:
        yield f"has wheels for CUDA {' and '.join(row['cuda'])}, not {target.cuda_major}"
    if not _between(target.python, row["python"]):
        yield f"has wheels for Python {_span(row['python'])}, not {target.python}"
    if target.machine not in row.get("machines", ["x86_64"]):
        yield f"has no wheel for {target.machine}"
    if target.abi not in row.get("abi", [True, False]):
        yield f"has no wheel of ABI {_flag(target.abi)}"
    if {"torch": target.torch, "abi": target.abi} in row.get("broken", []):
        yield f"has a wheel named torch{target.torch} abi{_flag(target.abi)} that holds symbols of the other ABI"
    if "glibc" in row and numbers(target.glibc) < numbers(row["glibc"]):
        here = "this is" if target.glibc_known else "this torch runs from"
        yield f"needs glibc {row['glibc']} or newer, and {here} {target.glibc}"
    if target.capability and numbers(target.capability)[0] not in row["sm"]:
        yield f"holds no code for compute capability {target.capability}"


def _wheel(target: _Target, row: Mapping[str, Any], version: str, base_url: str) -> Wheel:
    file = table()["file_name"].format(
        version=version,
        cuda=row["cuda"][target.cuda_major],
        torch=target.torch,
        abi=_flag(target.abi),
        python="cp" + target.python.replace(".", ""),
        machine=target.machine,
    )
    folder = (base_url or table()["base_url"]).rstrip("/")
    return Wheel(version, file, f"{folder}/v{version}/{file.replace('+', '%2B')}")


def _between(version: str, span: list[str]) -> bool:
    return numbers(span[0]) <= numbers(version) <= numbers(span[1])


def _span(span: list[str]) -> str:
    return span[0] if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _flag(abi: bool) -> str:
    return "TRUE" if abi else "FALSE"


def _describe(machine: Machine, target: _Target) -> str:
    parts = [f"Python {target.python}", f"torch {target.torch}", f"CUDA {machine.cuda}"]
    parts += [f"ABI {_flag(target.abi)}", target.machine]
    parts += [f"glibc {machine.glibc}"] if machine.glibc else []
    parts += [f"compute capability {machine.capability}"] if machine.capability else []
    return ", ".join(parts)
