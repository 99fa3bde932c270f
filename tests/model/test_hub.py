"""Names on the hub: asked once and shortly, and a silent hub never stands before what the cache holds."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import ModelError
from movielora.model import hub
from movielora.model.hub import is_tokenizer_cached, stays_local, why_unreachable

NAME = "nobody/nothing"
# Nothing listens at the discard port.
SILENT_HUB = "http://127.0.0.1:9"


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub._answer.cache_clear()


class SilentHub:
    """Takes connections and never says a word."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def connections(self, awaited: int) -> int:
        """How many came, once the first of those awaited is there; counts once."""
        select.select([self._listening], [], [], 60 if awaited else 0)
        self._listening.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._listening.accept()[0].close()
                count += 1
        return count


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


@pytest.fixture
def silent_hub() -> Iterator[SilentHub]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield SilentHub(listening)


def cache_tiny(tiny_base: Path, hub_cache: Path, name: str) -> Path:
    """The embedded base as the hub's client would have cached it under `name`; its folder."""
    repository = hub_cache / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    shutil.copytree(tiny_base, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return repository / "snapshots" / commit


def test_a_hub_that_never_answers_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, empty_cache: None, silent_hub: SilentHub
) -> None:
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    ask_at(monkeypatch, silent_hub.address)
    for _ in range(3):
        with pytest.raises(ModelError, match=r"cannot be fetched: (no answer within|timed out)"):
            stays_local(NAME)
    assert silent_hub.connections(1) == 1


def test_what_the_cache_lacks_is_not_local(
    monkeypatch: pytest.MonkeyPatch, empty_cache: None, tiny_base: Path, tmp_path: Path
) -> None:
    ask_at(monkeypatch, SILENT_HUB)
    folder = cache_tiny(tiny_base, tmp_path / "hub", NAME)
    assert stays_local(NAME)
    assert stays_local(NAME, is_tokenizer_cached)
    (folder / "model.safetensors").unlink()
    assert stays_local(NAME, is_tokenizer_cached)
    with pytest.raises(ModelError, match="cannot be fetched"):
        stays_local(NAME)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="cannot be fetched"):
        stays_local(NAME, is_tokenizer_cached)


def test_a_token_that_is_not_to_be_sent_is_not(invented_hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_invented")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert why_unreachable(NAME) == ""
    assert invented_hub["requests"] == [(f"/{NAME}/resolve/main/config.json", None)]


def test_whatever_goes_wrong_is_an_answer(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    def fail() -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("huggingface_hub.utils.build_hf_headers", fail)
    assert why_unreachable(NAME) == "broken"


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


@pytest.mark.parametrize(("offline", "asked"), [("0", 1), ("1", 0)])
def test_a_complete_cache_loads_from_here_and_the_silent_hub_is_asked_once(
    tiny_base: Path, tmp_path: Path, silent_hub: SilentHub, offline: str, asked: int
) -> None:
    """Left to themselves, the libraries would ask for two minutes and more."""
    cache_tiny(tiny_base, tmp_path / "hub", "invented/tiny")
    settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": silent_hub.address, "HF_HUB_OFFLINE": offline}
    done = subprocess.run(
        [sys.executable, "-c", LOADING], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "qwen3\n"), done.stderr
    assert silent_hub.connections(asked) == asked
