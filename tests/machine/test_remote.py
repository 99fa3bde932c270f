"""The ssh line that makes a server on this machine reachable from the user's own computer."""

from __future__ import annotations

import socket

import pytest

from movielora.machine.remote import ssh_forward_line


@pytest.fixture(autouse=True)
def ann(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")


def test_without_ssh_there_is_nothing_to_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert ssh_forward_line(6006) is None


@pytest.mark.parametrize(
    ("session", "line"),
    [
        ("198.51.100.4 50022 192.0.2.7 22", "ssh -N -L 6006:127.0.0.1:6006 ann@192.0.2.7"),
        ("198.51.100.4 50022 192.0.2.7 2222", "ssh -N -L 6006:127.0.0.1:6006 -p 2222 ann@192.0.2.7"),
        ("2001:db8::1 50022 2001:db8::7 22", "ssh -N -L 6006:127.0.0.1:6006 ann@2001:db8::7"),
        # Nothing from the environment reaches the user's shell as more than one word.
        ("198.51.100.4 50022 $(reboot) 22", "ssh -N -L 6006:127.0.0.1:6006 'ann@$(reboot)'"),
        ("unreadable", f"ssh -N -L 6006:127.0.0.1:6006 ann@{socket.gethostname()}"),
    ],
)
def test_the_line_names_the_way_the_session_came(monkeypatch: pytest.MonkeyPatch, session: str, line: str) -> None:
    monkeypatch.setenv("SSH_CONNECTION", session)
    assert ssh_forward_line(6006) == line
