"""Where logind ends a user's processes at logout: said, and the run started in a scope of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from movielora.machine import logind
from movielora.runs import detach


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for systemd's programs, as an ordinary user would find them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "bus").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    say(folder, "busctl", "b true")
    say(folder, "loginctl", "no")
    say(folder, "systemd-run", "")
    return folder


def say(folder: Path, name: str, words: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{words}'\n")
    (folder / name).chmod(0o755)


def test_the_answers_of_logind(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert logind.kills_at_logout(tmp_path)
    assert not logind.kills_at_logout(tmp_path / "no-systemd")
    assert not logind.lingers()
    say(tools, "busctl", "b false")
    say(tools, "loginctl", "yes")
    assert not logind.kills_at_logout(tmp_path)
    assert logind.lingers()
    monkeypatch.setenv("PATH", "/no/such")
    assert not logind.kills_at_logout(tmp_path)


def test_a_scope_needs_the_users_own_bus(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert logind.scope_command("u")[:3] == ["systemd-run", "--user", "--scope"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such")
    assert logind.scope_command("u") == []


def test_the_user_is_told(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Told:
        warn = staticmethod(said.append)

    monkeypatch.setattr(logind, "kills_at_logout", lambda: True)
    assert detach._scope_before(Told())[0] == "systemd-run"
    assert "started in a scope; to keep it after your last logout, run once: loginctl enable-linger" in said[0]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such")
    assert detach._scope_before(Told()) == []
    assert "stay logged in, or use tmux" in said[1]
