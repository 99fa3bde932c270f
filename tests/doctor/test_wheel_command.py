"""`doctor wheel`: the described machine, the question to the server (a loopback one), the JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from movielora.cli import main
from movielora.doctor.wheel import Description, ask_server, choose_and_check, describe_machine
from movielora.doctor.wheels import Machine
from movielora.errors import ConfigError

DESCRIBED = ["--python", "3.11", "--torch", "2.5.1", "--cuda", "12.4", "--machine", "x86_64", "--glibc", "2.35"]


class Server(ThreadingHTTPServer):
    """Holds the files of `versions`; notes what it was asked."""

    versions: set[str]
    asked: list[tuple[str, str]]


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.asked.append((self.command, self.path))
        version = self.path.split("/")[1].removeprefix("v")
        self.send_response(200 if version in self.server.versions else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), _Handler) as running:
        running.versions, running.asked = {"2.8.3.post1", "2.7.4.post1"}, []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "wheel", *arguments, "--json"])
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_json_of_a_described_machine(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(capsys, *DESCRIBED)
    assert set(answer) == {"wheel", "url", "command", "checked", "reason"}
    assert answer["wheel"] == "flash_attn-2.8.3.post1+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"
    assert answer["command"] == f"pip install {answer['url']}"
    assert answer["checked"] == "not checked"


def test_json_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(capsys, "--torch", "2.13.0", "--python", "3.12")
    assert (answer["wheel"], answer["url"], answer["command"]) == (None, None, None)
    assert "torch 2.13" in answer["reason"]


def test_check_asks_by_head(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    answer = _json(capsys, *DESCRIBED, "--check", "--base-url", base)
    assert answer["checked"] == "there"
    file = "flash_attn-2.8.3.post1%2Bcu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"
    assert server.asked == [("HEAD", f"/v2.8.3.post1/{file}")]


def test_an_absent_file_gives_way_to_the_next_older_one(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.versions = {"2.7.4.post1"}
    answer = _json(capsys, *DESCRIBED, "--check", "--base-url", f"http://127.0.0.1:{server.server_port}")
    assert answer["checked"] == "there"
    assert "flash_attn-2.7.4.post1+" in answer["wheel"]
    assert "not on the server: 2.8.3.post1, 2.8.3" in answer["reason"]


def test_a_server_without_any_gives_none(server: Server) -> None:
    server.versions = set()
    machine = Machine("3.12", "2.9.1", "12.8", glibc="2.39")
    choice, checked = choose_and_check(machine, f"http://127.0.0.1:{server.server_port}", ask_server)
    assert choice.wheel is None
    assert checked == "absent"
    assert "asked for 2.8.3" in choice.reason


def test_without_network_it_says_not_checked(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    closed = server.server_port
    server.shutdown()
    server.server_close()
    answer = _json(capsys, *DESCRIBED, "--check", "--base-url", f"http://127.0.0.1:{closed}")
    assert answer["checked"] == "not checked"
    assert "flash_attn-2.8.3.post1+" in answer["wheel"]


@pytest.mark.parametrize(
    ("given", "cuda", "abi"),
    [
        (Description(torch="2.5.1+cu121"), "12.1", None),
        (Description(torch="2.6.0"), "12.4", None),
        (Description(torch="2.6.0", cuda="12.6", abi="TRUE"), "12.6", True),
        (Description(torch="2.8.0+cpu"), None, None),
        (Description(torch="2.13.0"), "13.0", None),
    ],
)
def test_a_described_torch_brings_its_own_cuda(given: Description, cuda: str | None, abi: bool | None) -> None:
    machine = describe_machine(given)
    assert (machine.cuda, machine.abi, machine.glibc, machine.capability) == (cuda, abi, None, None)


@pytest.mark.parametrize(
    "given",
    [Description(torch="new"), Description(torch="2.5", cuda="cu124"), Description(torch="2.5", abi="maybe")],
)
def test_bad_descriptions_are_refused_with_a_fix(given: Description) -> None:
    with pytest.raises(ConfigError) as caught:
        describe_machine(given)
    assert caught.value.next_step


def test_a_base_url_that_is_no_web_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="no web address"):
        choose_and_check(Machine("3.11", "2.5", "12.4"), "file:///etc", ask_server)
