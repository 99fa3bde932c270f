"""Who a process is, whether it is the same one still, and what it uses.

A PID is no identity: the system gives it to another process later. PID, start time and boot id together are one.
The start time is the kernel's tick count since boot if there is /proc, because the start time in seconds moves
when the clock is set.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from movielora.storage import fields

# Linux allows 2^22 processes; a record that says more was not written by a system.
_LARGEST_PID = 2**22
_CPU_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Identity:
    """One process, never another: `start_ticks` (clock ticks since boot) if /proc exists, else `process_started`."""

    pid: int
    process_started: float
    start_ticks: int | None
    boot_id: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Usage:
    """What a process and its children use now. CPU in percent of one core, memory in bytes, times in unix seconds."""

    cpu_percent: float
    rss_bytes: int
    children: int
    started: float
    suspended: bool


def boot_id() -> str:
    """A name for this boot of this machine: another one means that every process of the record is gone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"boot-{int(psutil.boot_time())}"


def host() -> str:
    return socket.gethostname()


def this_process() -> Identity:
    pid = os.getpid()
    return Identity(pid, psutil.Process(pid).create_time(), _start_ticks(pid), boot_id())


def identity_from(value: Mapping[str, Any], *, accept_init: bool = False) -> Identity | None:
    """The identity in a record or lock; None if it is no identity at all (PID 1, a negative one, wrong types).

    `accept_init` takes PID 1 too, which a container's only program has: never for what may be signalled.
    """
    pid = fields.count(value.get("pid"))
    started = fields.number(value.get("process_started"))
    boot = fields.text(value.get("boot_id"))
    if pid is None or not (1 if accept_init else 2) <= pid <= _LARGEST_PID or started is None or not boot:
        return None
    return Identity(pid, started, fields.count(value.get("start_ticks")), boot)


def is_alive(identity: Identity) -> bool:
    """Whether this very process still runs. A zombie is dead, and so is a stranger with the same PID."""
    if identity.boot_id != boot_id():
        return False
    try:
        process = psutil.Process(identity.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if identity.start_ticks is not None:
            return _start_ticks(identity.pid) == identity.start_ticks
        return abs(process.create_time() - identity.process_started) < 2.0
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def usage(identity: Identity, sample_seconds: float = _CPU_SAMPLE_SECONDS) -> Usage | None:
    """What the process and its children use, measured over `sample_seconds`; None when it has ended."""
    try:
        main = psutil.Process(identity.pid)
        family = [main, *main.children(recursive=True)]
        before = sum(_cpu_seconds(family))
        time.sleep(sample_seconds)
        cpu = (sum(_cpu_seconds(family)) - before) / sample_seconds * 100
        rss = sum(_resident_bytes(family))
        suspended = main.status() == psutil.STATUS_STOPPED
        return Usage(max(cpu, 0.0), rss, len(family) - 1, identity.process_started, suspended)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def family(pid: int) -> list[psutil.Process]:
    """The process, its descendants, and its process group if it leads one (a detached run does)."""
    found: dict[int, psutil.Process] = {}
    try:
        main = psutil.Process(pid)
        found = {process.pid: process for process in (main, *main.children(recursive=True))}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid:
                found[process.pid] = process
        except (ProcessLookupError, PermissionError):
            continue
    return list(found.values())


def send_signal(identity: Identity, number: signal.Signals) -> bool:
    """Signal this very process; False if it is gone. Raises PermissionError when it is another user's.

    A pidfd is opened first and the identity checked through it, so that a PID that is reused in between cannot
    send the signal to another process.
    """
    if not hasattr(os, "pidfd_open"):  # macOS: checked just before instead
        alive = is_alive(identity)
        if alive:
            os.kill(identity.pid, number)
        return alive
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def kill_all(processes: Iterable[psutil.Process], wait_seconds: float = 10.0) -> list[psutil.Process]:
    """SIGKILL each and wait; returns those that still live. psutil checks each identity before it signals."""
    chosen = [process for process in processes if process.pid not in (0, 1, os.getpid())]
    for process in chosen:
        try:
            process.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return psutil.wait_procs(chosen, timeout=wait_seconds)[1]


def _start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat (proc(5)); the command name in field 2 may hold spaces and brackets."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return int(after_name.split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _cpu_seconds(processes: list[psutil.Process]) -> Iterable[float]:
    for process in processes:
        try:
            times = process.cpu_times()
            yield times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _resident_bytes(processes: list[psutil.Process]) -> Iterable[int]:
    for process in processes:
        try:
            yield process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
