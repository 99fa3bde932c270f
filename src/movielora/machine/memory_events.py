"""How often the kernel killed a process of a control group because memory ran out.

Where: `memory.events` (control groups v2) or `memory.oom_control` (v1), line `oom_kill N`.
"""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_FILE_NAMES = ("memory.events", "memory.oom_control")


def events_root() -> Path:
    """Where control groups are mounted; MOVIELORA_CGROUP_ROOT for other mounts."""
    return Path(os.environ.get("MOVIELORA_CGROUP_ROOT", "").strip() or _ROOT)


def events_file() -> Path | None:
    """The file that counts the kills of this process's own control group, or None if the system has none."""
    return next((path for path in _candidates(events_root()) if kills(path) is not None), None)


def kills(path: Path) -> int | None:
    """The count in `path`; None if it cannot be read or is no such file (a record may name any path)."""
    if path.name not in _FILE_NAMES or not path.is_relative_to(events_root()) or ".." in path.parts:
        return None
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        return None
    return None


def _candidates(root: Path) -> list[Path]:
    """`/proc/self/cgroup` holds lines `0::/group` (v2) and `9:memory:/group` (v1); a container sees its own root."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        controllers, _, group = line.partition(":")[2].partition(":")
        inside = group.lstrip("/")
        if not controllers:
            found.append(root / inside / "memory.events")
        elif "memory" in controllers.split(","):
            found.append(root / "memory" / inside / "memory.oom_control")
    return [*found, root / "memory.events", root / "memory" / "memory.oom_control"]
