"""Does the user sit at another computer, and how does a browser there reach a server on this one?"""

from __future__ import annotations

import getpass
import os
import socket

from movielora.errors import shell_command

LOOPBACK = "127.0.0.1"
_SSH_PORT = "22"


def ssh_forward_line(port: int) -> str | None:
    """`ssh -N -L 6006:127.0.0.1:6006 ann@192.0.2.7`, to be run where the browser is; None if this is no SSH session.

    Address and port are those that the session came in on (`SSH_CONNECTION`: client, its port, server, its port); a
    value that is not of this form gives the name of this machine.
    """
    session = ssh_session()
    if session is None:
        return None
    address, ssh_port = session
    forwarded = ["-L", f"{port}:{LOOPBACK}:{port}"]
    own_port = [] if ssh_port == _SSH_PORT else ["-p", ssh_port]
    return shell_command("ssh", "-N", *forwarded, *own_port, _login_at(address))


def ssh_session() -> tuple[str, str] | None:
    """Address and port of this machine as the SSH session reached it; None if this is no SSH session."""
    session = os.environ.get("SSH_CONNECTION", "").split()
    if not session:
        return None
    return (session[2], session[3]) if len(session) == 4 else (socket.gethostname(), _SSH_PORT)


def _login_at(address: str) -> str:
    """`ann@192.0.2.7`, or the address only if this user has no name (a container's bare user number)."""
    try:
        return f"{getpass.getuser()}@{address}"
    except (KeyError, OSError):  # OSError since Python 3.13
        return address
