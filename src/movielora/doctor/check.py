"""The result of one check, and of many together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warning", "failure", "skipped"]


@dataclass(frozen=True)
class Check:
    """`found` is what is here, `needed` what movielora wants, `fix` one command or edit; the last two may be empty."""

    name: str
    status: Status
    found: str
    needed: str = ""
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, found: str, fix: str = "") -> Check:
    return Check(name, "ok", found, "", fix)


def warning(name: str, found: str, needed: str, fix: str) -> Check:
    return Check(name, "warning", found, needed, fix)


def failure(name: str, found: str, needed: str, fix: str) -> Check:
    return Check(name, "failure", found, needed, fix)


def skipped(name: str, found: str) -> Check:
    return Check(name, "skipped", found)


def missing(name: str, found: str, needed: str, fix: str, *, demanded: bool) -> Check:
    """A failure if the config demands it, else a warning."""
    return (failure if demanded else warning)(name, found, needed, fix)


def overall(checks: Sequence[Check]) -> Status:
    """The worst result of any check; a skipped one does not count."""
    seen = {check.status for check in checks}
    return "failure" if "failure" in seen else "warning" if "warning" in seen else "ok"


def verdict(checks: Sequence[Check]) -> str:
    """One line: ready or not, and where to begin."""
    failed = [check.name for check in checks if check.status == "failure"]
    warned = [check.name for check in checks if check.status == "warning"]
    if failed:
        return f"Not ready: {_counted(failed, 'check')} failed ({', '.join(failed)})."
    if warned:
        return f"Ready, with {_counted(warned, 'warning')} ({', '.join(warned)})."
    return "Ready: all is well."


def _counted(names: Sequence[Any], word: str) -> str:
    return f"{len(names)} {word}{'' if len(names) == 1 else 's'}"
