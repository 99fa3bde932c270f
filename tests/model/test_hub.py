"""Names on the hub: asked once and shortly, and a silent hub never stands before what the cache holds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import ModelError
from movielora.model import hub
from movielora.model.hub import stays_local, why_unreachable

NAME = "nobody/nothing"
# Nothing listens at the discard port.
SILENT_HUB = "http://127.0.0.1:9"


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def ask_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )


@pytest.fixture
def invented_hub(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> Iterator[dict[str, Any]]:
    """Answers with `status`; keeps the `requests` as (path, Authorization)."""
    spoken: dict[str, Any] = {"status": 200, "requests": []}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            spoken["requests"].append((self.path, self.headers["Authorization"]))
            self.send_response(spoken["status"])
            if spoken["status"] == 307:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield spoken
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (200, ""),
        (307, ""),
        (401, "wants a token"),
        (404, "the hub has no such model (HTTP 404)"),
        (503, "the hub answers HTTP 503"),
    ],
)
def test_what_the_hub_answers(
    invented_hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch, status: int, problem: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_invented")
    invented_hub["status"] = status
    assert problem in why_unreachable(NAME)
    assert bool(why_unreachable(NAME)) == bool(problem)
    assert set(invented_hub["requests"]) == {(f"/{NAME}/resolve/main/config.json", "Bearer hf_invented")}
    if problem:
        with pytest.raises(ModelError, match=f"the model {NAME} is not on this machine and cannot be fetched: "):
            stays_local(NAME)
    else:
        assert not stays_local(NAME)


def test_a_hub_that_never_answers(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ask_at(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"cannot be fetched: (no answer within|timed out)"):
            stays_local(NAME)


@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "no-address", SILENT_HUB])
def test_no_network(monkeypatch: pytest.MonkeyPatch, empty_cache: None, address: str) -> None:
    ask_at(monkeypatch, address)
    with pytest.raises(ModelError, match="cannot be fetched: ") as raised:
        stays_local(NAME)
    assert "connect to the network" in raised.value.next_step


def test_what_is_no_name_is_not_asked_for(invented_hub: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a folder nor a Hugging Face name"):
        stays_local(str(tmp_path / "gone"))
    assert stays_local(str(tmp_path))
    assert invented_hub["requests"] == []


LOADING = """
from movielora.model.base import Placement, load_base
from movielora.model.tokenizer import load_tokenizer
load_tokenizer("invented/tiny")
print(load_base("invented/tiny", Placement("cpu", "float32", quantized=False, attention=None)).config.model_type)
"""


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_complete_cache_loads_without_network_and_without_waiting(
    tiny_base: Path, tmp_path: Path, offline: str
) -> None:
    repository = tmp_path / "hub" / "models--invented--tiny"
    commit = "0" * 40
    shutil.copytree(tiny_base, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": SILENT_HUB, "HF_HUB_OFFLINE": offline}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOADING], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "qwen3\n"), done.stderr
    assert time.monotonic() - started < 40  # two minutes and more if left to the libraries
