"""What state a run is in: derived from the lock, the process, the heartbeat and the record; never taken on trust.

A record cannot say that its process was killed or its machine lost power, so only its absence of an ending counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from movielora.machine import memory_events
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.runs.status.heartbeat import Heartbeat
from movielora.runs.stop_request import stop_is_requested
from movielora.storage import fields, lock, process
from movielora.storage.process import Identity

# What an attempt may record as its own ending.
_ENDINGS = ("finished", "stopped", "failed", "interrupted")


@dataclass(frozen=True)
class Liveness:
    """`identity` is the living main process, verified to hold the lock; None if it cannot be seen from here
    (another container or machine). `orphans` are the worker processes of a main process that is dead."""

    alive: bool
    identity: Identity | None = None
    orphans: tuple[int, ...] = ()


@dataclass(frozen=True)
class RunState:
    """One of starting, running, stopping, finished, stopped, failed, killed, interrupted, stale; and why."""

    name: str
    reason: str


def read_liveness(paths: RunPaths, record: RunRecord | None = None) -> Liveness:
    """Whether a process of this run lives. The lock decides; the PID inside only says which process it is."""
    held = lock.probe(paths.lock)
    if held == "free":
        return Liveness(alive=False)
    if held == "unknown":  # another user's run: its lock cannot be opened, so the recorded identity must do
        identity = record.identity if record else None
        return Liveness(alive=identity is not None and process.is_alive(identity), identity=identity)
    owner = lock.owner(paths.lock)
    if owner and process.is_alive(owner) and lock.holds(owner.pid, paths.lock):
        return Liveness(alive=True, identity=owner)
    orphans = tuple(holder.pid for holder in lock.holders(paths.lock))
    if owner and orphans and not process.is_alive(owner):
        return Liveness(alive=False, orphans=orphans)
    return Liveness(alive=True)


def read_record_and_liveness(paths: RunPaths) -> tuple[RunRecord | None, Liveness]:
    """The two as of one moment: a run that ends, or resumes, between the two looks is looked at again."""
    record = read_record(paths)
    while True:
        liveness = read_liveness(paths, record)
        now = read_record(paths)
        if liveness.alive or now is None or now.ended or (record is not None and now.raw == record.raw):
            return now, liveness
        record = now


def derive(paths: RunPaths, record: RunRecord | None, heartbeat: Heartbeat | None, liveness: Liveness) -> RunState:
    """The state of a run that has a record or lives."""
    if liveness.alive:
        return _state_alive(paths, record, heartbeat, liveness)
    if record is None:
        replaced = paths.replaced.is_dir()
        return RunState("interrupted", "while it was being replaced" if replaced else "its record cannot be read")
    if record.ended and record.ended.state in _ENDINGS:
        return RunState(record.ended.state, _recorded_reason(paths, record))
    return _state_without_ending(paths, record, heartbeat, liveness)


def _state_alive(
    paths: RunPaths, record: RunRecord | None, heartbeat: Heartbeat | None, liveness: Liveness
) -> RunState:
    same = record is not None and (liveness.identity is None or record.identity == liveness.identity)
    if record is None or not same:
        return RunState("starting", "a process has just taken the folder")
    if record.ended and record.ended.state in _ENDINGS:
        return RunState(record.ended.state, record.ended.reason)
    if liveness.identity and _is_suspended(liveness.identity.pid):
        return RunState("stale", f"its process is suspended; wake it with: kill -CONT {liveness.identity.pid}")
    if stop_is_requested(paths, record.run_id) or (heartbeat and heartbeat.values.get("stopping") is True):
        return RunState("stopping", "asked to stop; it saves a checkpoint first")
    if heartbeat is None or heartbeat.text("run_id") != record.run_id:
        return RunState("starting", "no heartbeat yet")
    if heartbeat.age_seconds > heartbeat.stale_after_seconds:
        return RunState("stale", _silence(heartbeat))
    started = heartbeat.values.get("training_started") is True
    return RunState("running" if started else "starting", "")


def _silence(heartbeat: Heartbeat) -> str:
    pace = heartbeat.number("pace_seconds") or 0.0
    usual = f", though it reported every {pace:,.1f} s or sooner" if pace else ""
    return f"alive, but no progress for {_duration(heartbeat.age_seconds)}{usual}"


def _recorded_reason(paths: RunPaths, record: RunRecord) -> str:
    ended = record.ended
    reason = ended.reason if ended else ""
    if ended and ended.state == "finished" and not paths.adapter_weights.exists():
        return "it finished, but its adapter is no longer in the folder"
    return reason


def _state_without_ending(
    paths: RunPaths, record: RunRecord, heartbeat: Heartbeat | None, liveness: Liveness
) -> RunState:
    """Dead, and no reason was recorded."""
    if record.identity and record.identity.boot_id != process.boot_id():
        elsewhere = record.host and record.host != process.host()
        return RunState("interrupted", f"it ran on {record.host}, not here" if elsewhere else "the machine restarted")
    if stop_is_requested(paths, record.run_id):
        return RunState("killed", "killed before it had carried out a stop" + _left(liveness))
    if _memory_kills_since(record) > 0:
        return RunState("killed", "killed (out of memory?): the kernel has ended a process of its memory group")
    where = f" at step {heartbeat.count('step'):,}" if heartbeat and heartbeat.count("step") else ""
    return RunState(
        "killed", f"its process ended{where} without recording why: kill -9, or out of memory" + _left(liveness)
    )


def _left(liveness: Liveness) -> str:
    if not liveness.orphans:
        return ""
    return f"; {len(liveness.orphans)} of its worker processes live on (PID {', '.join(map(str, liveness.orphans))})"


def _memory_kills_since(record: RunRecord) -> int:
    path = fields.text(record.raw.get("memory_events"), 4096)
    before = fields.count(record.raw.get("out_of_memory_kills"))
    now = memory_events.kills(Path(path)) if path else None
    return now - before if now is not None and before is not None else 0


def _is_suspended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
