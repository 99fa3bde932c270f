"""Does this system end a user's processes at logout, and how to start one that it spares?"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

_ASK_SECONDS = 3.0
_MANAGER = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


def kills_at_logout(systemd: Path = Path("/run/systemd/system")) -> bool:
    """Whether logind has `KillUserProcesses=yes`; False if there is no logind to ask. root is spared by default."""
    if not systemd.is_dir() or os.getuid() == 0:
        return False
    return _answer("busctl", "get-property", *_MANAGER, "KillUserProcesses") == "b true"


def lingers() -> bool:
    """Whether this user's service manager stays after logout."""
    return _answer("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value") == "yes"


def scope_command(unit: str) -> list[str]:
    """The words to put before a command so that it runs in its own scope; [] if that is not available.

    `--scope` replaces itself by the command, so the PID stays the one that was started.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not shutil.which("systemd-run") or not runtime or not Path(runtime, "bus").exists():
        return []
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit={unit}", "--"]


def _answer(*command: str) -> str:
    """What the command says, "" if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
