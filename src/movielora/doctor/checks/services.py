"""What is around a run: a launcher, TensorBoard's port, and logind, which may end a detached run at logout."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from movielora.doctor.check import Check, failure, ok, skipped, warning
from movielora.errors import RequestError
from movielora.machine.launcher import launcher_variables, refuse_several

TENSORBOARD_PORT = 6006


def check_launcher(environment: Mapping[str, str]) -> Check:
    """Whether a launcher's variables say that it started several processes: every recipe refuses them."""
    try:
        refuse_several(environment)
    except RequestError as error:
        return failure("launcher", error.message, "one process", error.next_step)
    left = ", ".join(launcher_variables(environment))
    return ok("launcher", f"left over from a launcher, not used: {left}" if left else "no launcher: one process")


def check_tensorboard_port(port: int = TENSORBOARD_PORT, wanted: bool = True) -> Check:
    if not wanted:
        return skipped("tensorboard_port", "report_to: none")
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        fix = f"tensorboard --logdir OUTPUT_DIR/logs --port {port + 1}"
        return warning("tensorboard_port", f"{port} is in use", "a free port", fix)
    return ok("tensorboard_port", f"{port} is free")


# Where systemd looks, least important first; a drop-in of the same name in a later folder replaces the earlier.
_LOGIND_FOLDERS = tuple(Path(folder) / "systemd" for folder in ("/usr/lib", "/usr/local/lib", "/run", "/etc"))


def check_logind(
    folders: Sequence[Path] = _LOGIND_FOLDERS,
    running: bool | None = None,
    user: str | None = None,
    linger: Path = Path("/var/lib/systemd/linger"),
) -> Check:
    """Whether logind ends this user's processes at logout, detached runs among them."""
    if not (Path("/run/systemd/system").is_dir() if running is None else running):
        return skipped("logind", "systemd is not running here")
    name = getpass.getuser() if user is None else user
    settings = dict(_logind_settings(folders))
    kills = settings.get("KillUserProcesses", "no").lower() in ("yes", "true", "1", "on")
    only = settings.get("KillOnlyUsers", "").split()
    spared = settings.get("KillExcludeUsers", "root").split()
    if not kills or name in spared or (only and name not in only):
        return ok("logind", "detached runs live on after logout")
    if (linger / name).exists():
        return ok("logind", f"KillUserProcesses=yes, but {name} lingers: detached runs live on")
    return warning(
        "logind",
        "KillUserProcesses=yes ends detached runs at logout",
        "runs that live on",
        f"loginctl enable-linger {name}, and start with: systemd-run --user --scope movielora train --detach …",
    )


def _logind_settings(folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """`logind.conf`, the last folder's only, then the drop-ins by file name; later settings win."""
    mains = [folder / "logind.conf" for folder in folders if (folder / "logind.conf").is_file()]
    drop_ins = {file.name: file for folder in folders for file in sorted((folder / "logind.conf.d").glob("*.conf"))}
    for file in [*mains[-1:], *(drop_ins[name] for name in sorted(drop_ins))]:
        if os.access(file, os.R_OK):
            text = file.read_text(encoding="utf-8", errors="replace")
            yield from re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", text, flags=re.MULTILINE)
