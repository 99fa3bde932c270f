"""What a run is doing now, written for readers at most once a second.

Durations come from the monotonic clock, which is one for all processes of a boot and does not jump when the wall
clock is set: a reader on the same machine knows the age of a heartbeat exactly.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from movielora.runs.paths import RunPaths
from movielora.storage import fields
from movielora.storage.atomic import read_json, write_json_atomically
from movielora.storage.process import boot_id

_WRITE_EVERY_SECONDS = 1.0

# A heartbeat is stale when it is far older than this run's own pace; loading and saving are one long call each.
_STALE_PACES = 20
_STALE_AT_LEAST_SECONDS = 60.0
_STALE_WITHOUT_PACE_SECONDS = 600.0

# Belongs to one phase and is dropped when the next begins.
_PHASE_FIELDS = ("phase_done", "phase_total", "phase_unit", "detail")


class HeartbeatWriter:
    """Merges what the run reports and writes it, at most once a second and at every change of phase."""

    def __init__(self, paths: RunPaths, run_id: str) -> None:
        self._path = paths.heartbeat
        self._fields: dict[str, Any] = {"schema": 1, "run_id": run_id, "boot_id": boot_id()}
        self._started = self._phase_started = time.monotonic()
        self._last_beat = self._last_write = 0.0
        self._pace = 0.0

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._started

    def get(self, name: str) -> Any:
        return self._fields.get(name)

    def beat(self, *, force: bool = False, **said: Any) -> None:
        """Merge `said` and write when a second has passed, when the phase changes, or by force. Raises OSError."""
        now = time.monotonic()
        if said.get("phase", self._fields.get("phase")) != self._fields.get("phase"):
            force = True
            self._phase_started, self._pace, self._last_beat = now, 0.0, 0.0
            for name in _PHASE_FIELDS:
                self._fields.pop(name, None)
        if self._last_beat:
            self._pace = max(self._pace, now - self._last_beat)
        self._last_beat = now
        self._fields.update(said)
        if force or now - self._last_write >= _WRITE_EVERY_SECONDS:
            self._last_write = now
            self._write(now)

    def _write(self, now: float) -> None:
        times = {
            "time": time.time(),
            "monotonic": now,
            "elapsed_seconds": round(now - self._started, 3),
            "phase_seconds": round(now - self._phase_started, 3),
            "pace_seconds": round(self._pace, 3),
        }
        # Not synced: after a power cut the process is gone anyway, and a sync a second would slow a small model.
        write_json_atomically(self._path, self._fields | times, durable=False)


@dataclass(frozen=True)
class Heartbeat:
    """The last heartbeat as a reader takes it. Times in seconds; `age_seconds` is since it was written."""

    values: dict[str, Any]
    age_seconds: float

    def number(self, name: str) -> float | None:
        return fields.number(self.values.get(name))

    def count(self, name: str) -> int | None:
        return fields.count(self.values.get(name))

    def text(self, name: str) -> str:
        return fields.text(self.values.get(name))

    @property
    def stale_after_seconds(self) -> float:
        """The age from which a heartbeat is stale: twenty times the longest gap of this phase, a minute at least."""
        pace = self.number("pace_seconds") or 0.0
        if pace <= 0:
            return _STALE_WITHOUT_PACE_SECONDS
        return max(_STALE_AT_LEAST_SECONDS, _STALE_PACES * pace)


def read_heartbeat(paths: RunPaths) -> Heartbeat | None:
    values = read_json(paths.heartbeat)
    if values is None:
        return None
    written, wall = fields.number(values.get("monotonic")), fields.number(values.get("time"))
    if written is not None and values.get("boot_id") == boot_id():
        age = time.monotonic() - written
    else:
        age = time.time() - wall if wall is not None else 0.0
    return Heartbeat(values, max(age, 0.0))
