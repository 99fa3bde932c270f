"""`report --serve`: one page on this machine's own address, and how it is reached over SSH."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from movielora.cli import main
from movielora.evaluation.report.serve import USUAL_PORT
from synthetic_comparison import Invented, invent_comparison

_SSH = "198.51.100.4 50022 192.0.2.7 2222"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Invented:
    return invent_comparison(tmp_path_factory.mktemp("served"), users=8, films=30)


class Server:
    """A real `report --serve --json`, and what it printed."""

    def __init__(self, made: Invented, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "movielora", "report", str(made.folder.root), "--serve", "--json", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"SSH_CONNECTION": _SSH, "LOGNAME": "ann"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())
        self.port = int(self.said["address"].rstrip("/").rpartition(":")[2])

    def ask(self, path: str, method: str = "GET", host: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def server(made: Invented) -> Iterator[Server]:
    found = Server(made)
    yield found
    found.process.kill()
    found.process.communicate()


def test_it_serves_the_page_and_nothing_else(server: Server, made: Invented) -> None:
    page = made.folder.report.read_bytes()
    assert server.ask("/") == server.ask("/report.html") == (200, page)
    assert server.ask("/report.html#row=3") == (200, page)
    assert server.ask("/", "HEAD") == (200, b"")
    others = ("/comparison.json", "/.", "/../report.html", "/%2e%2e/", "/predictions.jsonl", "/report.html/")
    assert {server.ask(path)[0] for path in others} == {404}
    assert server.ask("/", "POST")[0] == 501


def test_only_this_machine_is_answered_and_only_by_its_own_name(server: Server) -> None:
    assert server.ask("/", host=f"localhost:{server.port}")[0] == 200
    assert server.ask("/", host="localhost:9999")[0] == 200  # the other end of a tunnel may have another port
    assert server.ask("/", host="attacker.example")[0] == 404
    assert server.ask("/", host="[::")[0] == 404
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", server.port))  # bound to one address, not to all


def test_over_ssh_it_prints_the_tunnel(server: Server) -> None:
    port = server.port
    assert server.said["tunnel"] == f"ssh -N -L {port}:127.0.0.1:{port} -p 2222 ann@192.0.2.7"


def test_a_taken_port_is_refused_and_a_second_server_finds_a_free_one(server: Server, made: Invented) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "movielora", "report", str(made.folder.root), "--serve", "--port", str(server.port)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"port {server.port} is in use" in done.stderr
    second = Server(made)
    try:
        assert second.port not in (server.port, USUAL_PORT) or server.port != USUAL_PORT
        assert second.ask("/")[0] == 200
    finally:
        second.process.kill()
        second.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_ends_calmly(made: Invented, number: signal.Signals) -> None:
    server = Server(made)
    assert server.ask("/")[0] == 200
    server.process.send_signal(number)
    out, err = server.process.communicate(timeout=60)
    assert (server.process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "Aborted" not in err


def run(*words: str) -> int:
    try:
        main(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_plain_report_on_a_remote_machine_says_how_to_read_it(
    made: Invented, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setenv("SSH_CONNECTION", _SSH)
    assert run("report", str(made.folder.root)) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(made.folder.report)
    assert f"movielora report {made.folder.root} --serve --port {USUAL_PORT}" in said.err
    assert f"ssh -N -L {USUAL_PORT}:127.0.0.1:{USUAL_PORT} -p 2222 ann@192.0.2.7" in said.err
    monkeypatch.delenv("SSH_CONNECTION")
    assert run("report", str(made.folder.root)) == 0
    assert "ssh" not in capsys.readouterr().err


def test_a_port_without_a_server_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", str(tmp_path), "--port", "9000") == 2
    assert "add --serve" in capsys.readouterr().err
