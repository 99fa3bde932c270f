"""Probes that may abort the process run in a child with a time limit.

A compiled module built for another torch can end the interpreter with a signal, which no `except` sees. One child
serves several probes, because most of its time is the import of torch; if a probe takes the child down, the
probes after it get a new one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# The last lines hold the error; a log of warnings before them adds nothing.
_ERROR_CHARACTERS = 4000


@dataclass(frozen=True)
class KernelProbe:
    """Whether a package's kernels run here, and why (not). `error` is the text of a failed import or run."""

    installed: str | None
    usable: bool
    reason: str
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a probe gave: its value, or the text of why there is none."""

    value: dict[str, Any] | None
    error: str = ""

    @property
    def last_line(self) -> str:
        """The last line of the error that says something; empty if there is no error."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def run_probes(
    targets: Mapping[str, str], seconds: float, environment: Mapping[str, str] = os.environ
) -> dict[str, Outcome]:
    """Run `name → "module:function"` in child processes and give each one's outcome.

    A function takes nothing and returns a dictionary that JSON can carry. `seconds` is the limit of one child; the
    probe that runs when it is over is the one that is blamed.
    """
    outcomes: dict[str, Outcome] = {}
    waiting = dict(targets)
    while waiting:
        found = _run_child(waiting, seconds, environment)
        outcomes |= found
        waiting = {name: target for name, target in waiting.items() if name not in found}
    return {name: outcomes[name] for name in targets}


def _run_child(targets: Mapping[str, str], seconds: float, environment: Mapping[str, str]) -> dict[str, Outcome]:
    """The outcomes up to and including the first probe that took the child down; never empty."""
    command = [
        sys.executable,
        "-m",
        "movielora.machine.child",
        *(f"{name}={target}" for name, target in targets.items()),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(environment)
    )
    try:
        out, err = process.communicate(timeout=seconds)
        ending = _ending(process.returncode)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        ending = f"no answer within {seconds:g} s"
    outcomes = {}
    for line in out.decode("utf-8", "replace").splitlines():
        answer = json.loads(line)
        outcomes[answer["name"]] = Outcome(answer["value"], answer["error"])
    unanswered = [name for name in targets if name not in outcomes]
    if unanswered:
        noise = err.decode("utf-8", "replace")[-_ERROR_CHARACTERS:].strip()
        outcomes[unanswered[0]] = Outcome(None, f"{noise}\n{ending}".strip())
    return outcomes


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"the process ended with code {returncode}"
    try:
        return f"the process was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"the process was ended by signal {-returncode}"


def _call(target: str) -> tuple[dict[str, Any] | None, str]:
    module, _, function = target.partition(":")
    try:
        value: dict[str, Any] = getattr(import_module(module), function)()
    except Exception:  # noqa: BLE001 (the text of whatever went wrong is this probe's result)
        return None, traceback.format_exc()[-_ERROR_CHARACTERS:]
    return value, ""


def _main(arguments: list[str]) -> None:
    # Libraries print to stdout as they load: keep the real one for answers and send theirs to stderr.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for argument in arguments:
            name, _, target = argument.partition("=")
            value, error = _call(target)
            answers.write(json.dumps({"name": name, "value": value, "error": error}) + "\n")
            answers.flush()


if __name__ == "__main__":
    _main(sys.argv[1:])
