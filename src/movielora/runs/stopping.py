"""`movielora stop`: ask a run to save and end, wait, and end it by force if it does not."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import Any

from movielora.errors import NoLiveRunError, WorkError, shell_command
from movielora.progress import Phase, Reporter
from movielora.runs.checkpoints import newest_complete
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.runs.status.state import Liveness, derive, read_liveness, read_record_and_liveness
from movielora.runs.stop_request import stop_is_requested, write_stop_request
from movielora.storage import lock, process
from movielora.storage.process import Identity

DEFAULT_SECONDS = 120.0
# Insisting means not to wait for a save; leaving the work takes a moment all the same.
DEFAULT_FORCED_SECONDS = 10.0
_POLL_SECONDS = 0.1
# Longer than the window in which a run takes two signals for one.
_SECOND_SIGNAL_SECONDS = 0.5
# Without a --timeout the wait grows with the run's own pace: a step, and a save.
_PACES = 3


@dataclass(frozen=True)
class Stopped:
    """How a stop went. `forced`: the process had to be killed. `checkpoint`: the newest complete one, or None."""

    run: str
    state: str
    reason: str
    checkpoint: str | None
    waited_seconds: float
    forced: bool

    def to_json(self) -> dict[str, Any]:
        """The object that `movielora stop --json` prints."""
        return {
            "run": self.run,
            "state": self.state,
            "checkpoint": self.checkpoint,
            "waited_seconds": round(self.waited_seconds, 1),
            "forced": self.forced,
        }


def stop_run(
    paths: RunPaths, reporter: Reporter, *, timeout: float | None = None, force: bool = False, save: bool = True
) -> Stopped:
    """Ask (SIGTERM), wait, and after the timeout (seconds) kill the run's processes.

    A second stop, or `force`, insists: the run leaves at once, without saving. Only a process that holds this run's
    lock is signalled. Raises NoLiveRunError when the run is not alive, WorkError when it cannot be reached.
    """
    record, liveness = read_record_and_liveness(paths)
    name = (record.name if record else "") or paths.root.name
    if not liveness.alive:
        raise _not_alive(paths, record, liveness, name, reporter)
    if liveness.identity is None:
        raise _out_of_reach(record, name)
    insist = force or (record is not None and stop_is_requested(paths, record.run_id))
    started = time.monotonic()
    _ask(paths, record, liveness.identity, save=save, insist=insist)
    seconds = timeout if timeout is not None else _patience(paths, insist=insist)
    with reporter.phase(f"Stopping {name}") as phase:
        ended = _wait(paths, liveness.identity, started + seconds, phase)
    forced = not ended
    if forced:
        reporter.warn(f"{name} has not ended within {seconds:,.0f} s: killing its processes")
        _kill(paths, liveness.identity, name)
    return _result(paths, name, time.monotonic() - started, forced=forced)


def _ask(paths: RunPaths, record: RunRecord | None, identity: Identity, *, save: bool, insist: bool) -> None:
    repeated = record is not None and stop_is_requested(paths, record.run_id)
    if record is not None:
        write_stop_request(paths, record.run_id, save=save and not insist)
    try:
        process.send_signal(identity, signal.SIGTERM)
        process.send_signal(identity, signal.SIGCONT)  # a suspended process would never read the first
        if insist and not repeated:
            time.sleep(_SECOND_SIGNAL_SECONDS)
            process.send_signal(identity, signal.SIGTERM)
    except PermissionError as error:
        raise WorkError(f"PID {identity.pid} belongs to another user and cannot be stopped by you") from error


def _patience(paths: RunPaths, *, insist: bool) -> float:
    if insist:
        return DEFAULT_FORCED_SECONDS
    heartbeat = read_heartbeat(paths)
    pace = (heartbeat.number("pace_seconds") or 0.0) if heartbeat else 0.0
    return max(DEFAULT_SECONDS, _PACES * pace)


def _wait(paths: RunPaths, identity: Identity, deadline: float, phase: Phase) -> bool:
    """Until the process and its workers have ended (True) or the deadline has passed."""
    while process.is_alive(identity) or lock.probe(paths.lock) == "held":
        if time.monotonic() >= deadline:
            return False
        phase.update(0, _waiting_for(paths))
        time.sleep(_POLL_SECONDS)
    return True


def _waiting_for(paths: RunPaths) -> str:
    record, heartbeat = read_record(paths), read_heartbeat(paths)
    if record and record.ended:
        return "it has ended its work; its process is closing"
    return f"it is {heartbeat.text('phase')}" if heartbeat else ""


def _kill(paths: RunPaths, identity: Identity, name: str) -> None:
    """The whole family: the process, its descendants, its group, and whoever holds the lock."""
    members = lock.holders(paths.lock)
    if process.is_alive(identity) and lock.holds(identity.pid, paths.lock):
        members += process.family(identity.pid)
    left = process.kill_all({member.pid: member for member in members}.values())
    if left:
        pids = ", ".join(str(member.pid) for member in left)
        raise WorkError(f"{name} cannot be killed: PID {pids} waits inside the kernel (a hung disk or driver?)")


def _result(paths: RunPaths, name: str, waited: float, *, forced: bool) -> Stopped:
    record, liveness = read_record_and_liveness(paths)
    state = derive(paths, record, read_heartbeat(paths), liveness)
    checkpoint, _ = newest_complete(paths)
    return Stopped(name, state.name, state.reason, str(checkpoint.path) if checkpoint else None, waited, forced)


def _not_alive(
    paths: RunPaths, record: RunRecord | None, liveness: Liveness, name: str, reporter: Reporter
) -> NoLiveRunError:
    """Nothing to stop; workers that a killed run left behind are still ended."""
    if liveness.orphans:
        process.kill_all(holder for holder in lock.holders(paths.lock) if holder.pid in liveness.orphans)
        reporter.note(f"{name} left {len(liveness.orphans)} worker processes behind; they are ended now")
        liveness = read_liveness(paths, record)
    state = derive(paths, record, read_heartbeat(paths), liveness).name if record else "no record"
    see = shell_command("movielora", "status", paths.root)
    return NoLiveRunError(f"{name} is not alive ({state})", f"see how it ended with: {see}")


def _out_of_reach(record: RunRecord | None, name: str) -> WorkError:
    where = f" on {record.host}" if record and record.host and record.host != process.host() else ""
    return WorkError(
        f"{name} is alive{where}, but its process cannot be seen from here (another machine or container)",
        "stop it where it runs, with the same command",
    )
