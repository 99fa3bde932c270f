"""Start the ordinary command again, in its own session, and wait until it has started."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.errors import InterruptedRunError, MovieloraError, RequestError, StoppedError, WorkError, shell_command
from movielora.machine import logind
from movielora.machine.launcher import refuse_several
from movielora.machine.signals import SignalHandlers
from movielora.progress import Reporter
from movielora.runs import run_guard
from movielora.runs.log_file import log_heading, printable
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, check_name, read_record
from movielora.runs.run_guard import StartMode
from movielora.runs.session import DETACHED_VARIABLE
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.storage import lock

_POLL_SECONDS = 0.05
# A model on a slow network disk; after this the parent exits and the run continues.
_WAIT_SECONDS = 600.0
# An attempt that dies before its training begins has not written much.
_OUTPUT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Detached:
    """A run in the background. `checked`: it has passed its checks; False when the wait was given up."""

    run: str
    run_dir: Path
    pid: int
    log: Path
    checked: bool

    def to_json(self) -> dict[str, Any]:
        """The object that `movielora train --detach --json` prints."""
        return {"run": self.run, "run_dir": str(self.run_dir), "pid": self.pid, "log": str(self.log)}


def child_argv(argv: Sequence[str] | None = None) -> list[str]:
    """This command line (`sys.argv` without the program) as the child gets it: not detached, not JSON."""
    given = sys.argv[1:] if argv is None else argv
    return [word for word in given if word not in ("--detach", "--json")]


def start_detached(
    argv: Sequence[str],
    run_dir: Path,
    reporter: Reporter,
    *,
    mode: StartMode = "new",
    name: str | None = None,
    wait_seconds: float = _WAIT_SECONDS,
) -> Detached:
    """Run `movielora ARGV` (without `--detach`) in the background, its output in the run's log; wait for its checks.

    Raises what the child would have raised: OutputError when the folder is taken, and when the child dies first, its
    own reason with its own exit code.
    """
    refuse_several(os.environ)  # the child would, once it had a folder
    if name is not None:
        check_name(name)
    paths = RunPaths(Path(os.path.abspath(run_dir)))  # noqa: PTH100 - keeps symlinks
    made_here = not paths.root.exists()
    run_guard.make_folder(paths)
    run_guard.refuse_live(paths)
    run_guard.settle_replaced(paths, reporter)
    run_guard.refuse_occupied(paths, mode)
    before = _scope_before(reporter)
    log_start = _begin_log(paths)
    child = _start(argv, paths, before)
    with reporter.phase(f"Starting {name or paths.root.name}") as phase:
        deadline = time.monotonic() + wait_seconds
        try:
            while child.poll() is None and time.monotonic() < deadline:
                heartbeat = read_heartbeat(paths)
                record = _record_of(child.pid, paths)
                if record and heartbeat and heartbeat.text("run_id") == record.run_id:
                    if heartbeat.values.get("checks_passed") is True:
                        break
                    phase.update(0, heartbeat.text("phase"))
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGTERM)
            raise InterruptedRunError(
                f"the start was cancelled, and PID {child.pid} asked to end",
                shell_command("movielora", "status", paths.root),
            ) from None
    return _outcome(child, paths, log_start, made_here=made_here)


def _scope_before(reporter: Reporter) -> list[str]:
    """Where logind ends the user's processes at logout, a scope of its own keeps the run; the user must know."""
    if not logind.kills_at_logout():
        return []
    before = logind.scope_command(f"movielora-{secrets.token_hex(4)}")
    linger = "" if logind.lingers() else "; to keep it after your last logout, run once: loginctl enable-linger"
    if before:
        reporter.warn(f"this system ends processes at logout (KillUserProcesses=yes): started in a scope{linger}")
    else:
        reporter.warn(
            "this system ends processes at logout (KillUserProcesses=yes) and systemd-run --user is not available: "
            f"stay logged in, or use tmux under a lingering user{linger}"
        )
    return before


def _begin_log(paths: RunPaths) -> int:
    """Write a heading into the log, after what an earlier attempt left there; the bytes so far.

    A run that is to be overwritten keeps its log's lines: this attempt may still be refused.
    """
    with paths.log.open("a", encoding="utf-8") as log:
        log.write(log_heading())
    paths.log.chmod(0o600)
    return paths.log.stat().st_size


def _start(argv: Sequence[str], paths: RunPaths, before: list[str]) -> subprocess.Popen[bytes]:
    # -P: a folder named like one of our imports in the working directory must not be imported.
    command = [*before, sys.executable, "-P", "-m", "movielora", *argv]
    # Its log is read as UTF-8, whatever this shell's settings are.
    environment = os.environ | {DETACHED_VARIABLE: "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    log = os.open(paths.log, os.O_WRONLY | os.O_APPEND)
    # An ignored signal stays ignored over exec: there is no moment in which a hang-up would end the child.
    with SignalHandlers() as handlers, os.fdopen(log, "wb") as output:
        handlers.install(signal.SIGHUP, signal.SIG_IGN)
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            start_new_session=True, umask=0o077,
        )  # fmt: skip


def _outcome(child: subprocess.Popen[bytes], paths: RunPaths, log_start: int, *, made_here: bool) -> Detached:
    record = _record_of(child.pid, paths)
    code = child.poll()
    finished = record is not None and record.ended is not None and record.ended.state == "finished"
    if code is not None and not finished:
        raise _death(code, record, paths, log_start, made_here=made_here)
    heartbeat = read_heartbeat(paths)
    checked = heartbeat is not None and heartbeat.values.get("checks_passed") is True
    name = record.name if record else paths.root.name
    return Detached(name, paths.root, child.pid, paths.log, checked or finished)


def _record_of(pid: int, paths: RunPaths) -> RunRecord | None:
    """The record once the child has written it; an earlier run's is no answer."""
    record = read_record(paths)
    return record if record and record.identity and record.identity.pid == pid else None


def _death(code: int, record: RunRecord | None, paths: RunPaths, log_start: int, *, made_here: bool) -> MovieloraError:
    """The child's own reason and exit code, as an error of the parent."""
    said, next_step = _last_output(paths.log, log_start)
    reason = (record.ended.reason if record and record.ended else "") or said
    if not reason:
        reason = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}, without a message"
    if made_here and not paths.record.exists() and lock.probe(paths.lock) == "free":
        _remove_folder(paths)
    else:
        next_step = next_step or f"read its output: {shell_command('movielora', 'logs', paths.root)}"
    kind = {2: RequestError, 75: StoppedError}.get(code, WorkError)
    return kind(f"the run ended before its training began: {reason}", next_step)


def _last_output(log: Path, start: int) -> tuple[str, str]:
    """What the child wrote as its error and next step; without one, its last line. `start`: bytes of older attempts."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            lines = [printable(line) for line in file.read(_OUTPUT_BYTES).decode("utf-8", "replace").splitlines()]
    except OSError:
        return "", ""
    found = {
        key: line.removeprefix(f"{key}:").strip()
        for key in ("error", "stopped", "next")
        for line in lines
        if line.startswith(f"{key}:")
    }
    last = next((line for line in reversed(lines) if line.strip()), "")
    return found.get("error") or found.get("stopped", last), found.get("next", "")


def _remove_folder(paths: RunPaths) -> None:
    """The folder that was made for a run which never began; what else has come into it stays."""
    paths.log.unlink(missing_ok=True)
    paths.lock.unlink(missing_ok=True)
    if not any(paths.root.iterdir()):
        paths.root.rmdir()
