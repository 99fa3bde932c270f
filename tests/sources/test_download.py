"""Fetching from GroupLens, against a server on loopback that can break off, lie and redirect."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import ConfigError, OutputError, WorkError
from movielora.progress import SILENT
from movielora.sources.movielens import download
from movielora.sources.movielens.download import fetch


def zip_bytes(seed: int = 0) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("ml/ratings.csv", f"userId,movieId,rating,timestamp\n{seed},1,4.0,1\n" * 20_000)
    return packed.getvalue()


@dataclass
class Server:
    """What is served, how it misbehaves, and what it was asked."""

    content: bytes
    md5: str | None = None
    etag: str | None = '"one"'
    break_after: list[int] = field(default_factory=list)  # bytes to send before each broken answer
    redirect: str | None = None
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


def handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Range")))
            if self.path.endswith(".md5"):
                self._answer(200 if server.md5 else 404, (server.md5 or "").encode())
            elif server.redirect and not self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", server.redirect)
                self.end_headers()
            elif self.path.rsplit("/", 1)[-1] not in ("ml-latest-small.zip", "ml-1m.zip"):
                self._answer(404, b"")
            else:
                self._file()

        def _file(self) -> None:
            start = 0
            wanted = self.headers.get("Range")
            if wanted and server.ranges and self.headers.get("If-Range") == server.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(server.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                    self.end_headers()
                    return
            rest = server.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
            if server.etag:
                self.send_header("ETag", server.etag)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            with suppress(BrokenPipeError):  # the client may refuse it by its headers
                self.wfile.write(rest[: server.break_after.pop(0)] if server.break_after else rest)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    content = zip_bytes()
    served = Server(content, md5=f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  ml-latest-small.zip\n")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
    served.url = f"http://127.0.0.1:{listening.server_port}/movielens/"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield served
    listening.shutdown()
    listening.server_close()


def zip_requests(server: Server) -> list[str | None]:
    return [wanted for path, wanted in server.asked if path.endswith(".zip")]


def test_a_zip_is_fetched_checked_and_then_kept(server: Server, tmp_path: Path) -> None:
    path = fetch("ml-latest-small", tmp_path / "cache", base_url=server.url)
    assert path.read_bytes() == server.content
    assert [file.name for file in path.parent.iterdir()] == ["ml-latest-small.zip"]
    assert fetch("ml-latest-small", tmp_path / "cache", base_url=server.url) == path
    assert zip_requests(server) == [None]


def test_a_broken_transfer_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000, 50_000]
    path = fetch("ml-latest-small", tmp_path, base_url=server.url)
    assert path.read_bytes() == server.content
    assert zip_requests(server) == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_command_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.break_after = [1000] * 4
    with pytest.raises(WorkError, match="broke off 4 times") as caught:
        fetch("ml-latest-small", tmp_path, base_url=server.url)
    assert "goes on from there" in caught.value.next_step
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content
    assert zip_requests(server)[-1] == "bytes=4000-"


def test_a_file_that_changed_meanwhile_starts_anew(server: Server, tmp_path: Path) -> None:
    server.break_after = [1000] * 4
    with pytest.raises(WorkError):
        fetch("ml-latest-small", tmp_path, base_url=server.url)
    server.content, server.etag = zip_bytes(seed=1), '"two"'
    server.md5 = hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_joined(server: Server, tmp_path: Path, etag: str | None) -> None:
    server.etag, server.break_after = etag, [1000]
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content
    assert zip_requests(server) == [None, None]


def test_a_server_without_ranges_sends_it_whole_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, [1000]
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content


def test_a_part_that_was_complete_already_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ml-latest-small.zip.part").write_bytes(server.content)
    (tmp_path / "ml-latest-small.zip.part.validator").write_text('"one"')
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content


def test_a_wrong_checksum_removes_the_file(server: Server, tmp_path: Path) -> None:
    server.md5 = "0" * 32
    with pytest.raises(WorkError, match=r"is damaged: its MD5 is [0-9a-f]{32} and should be 0{32}"):
        fetch("ml-latest-small", tmp_path, base_url=server.url)
    assert not list(tmp_path.glob("*.zip*"))


def test_the_checksum_of_a_fixed_version_is_known_beforehand(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="should be c4d9eecfca2ab87c1945afe126590906"):
        fetch("ml-1m", tmp_path, base_url=server.url)
    assert all(not path.endswith(".md5") for path, _ in server.asked)


def test_without_a_checksum_the_zips_own_are_used_and_that_is_said(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(SILENT, "note", notes.append)
    server.md5 = None
    fetch("ml-latest-small", tmp_path / "good", SILENT, base_url=server.url)
    assert any("No published checksum" in note for note in notes)
    server.content = server.content.replace(b"4.0", b"3.0", 1)
    with pytest.raises(WorkError, match=r"ml/ratings\.csv does not fit its checksum"):
        fetch("ml-latest-small", tmp_path / "bad", base_url=server.url)
    server.content = b"<html>moved</html>"
    with pytest.raises(WorkError, match="it is no sound zip"):
        fetch("ml-latest-small", tmp_path / "html", base_url=server.url)


def test_a_kept_zip_that_was_damaged_since_is_not_used(server: Server, tmp_path: Path) -> None:
    path = fetch("ml-latest-small", tmp_path, base_url=server.url)
    path.write_bytes(server.content[:-500])
    with pytest.raises(WorkError, match="it is no sound zip"):
        fetch("ml-latest-small", tmp_path, base_url=server.url)
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x.zip", "https://127.0.0.1:1/x.zip"])
def test_a_redirect_to_another_scheme_is_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(WorkError, match=r"redirects to another scheme|answers 302"):
        fetch("ml-latest-small", tmp_path, base_url=server.url)


def test_a_redirect_within_the_scheme_is_followed(server: Server, tmp_path: Path) -> None:
    server.redirect = server.url.replace("/movielens/", "/moved/ml-latest-small.zip")
    assert fetch("ml-latest-small", tmp_path, base_url=server.url).read_bytes() == server.content


def test_refusals_name_the_address_and_a_way_out(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"ml-32m\.zip answers 404") as caught:
        fetch("ml-32m", tmp_path, base_url=server.url)
    assert "--source" in caught.value.next_step
    with pytest.raises(WorkError, match="cannot be fetched"):
        fetch("ml-1m", tmp_path, base_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="neither an http nor an https address"):
        fetch("ml-1m", tmp_path, base_url="file:///srv")


def test_a_file_larger_than_any_movielens_is_not_begun(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_MOST_BYTES", 1000)
    with pytest.raises(WorkError, match="more than any MovieLens"):
        fetch("ml-latest-small", tmp_path, base_url=server.url)


def test_a_cache_that_cannot_be_written_is_the_users_to_mend(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch("ml-1m", tmp_path / "file" / "cache", base_url=server.url)


def test_prepare_fetches_and_prepares_in_one_command(server: Server, tmp_path: Path) -> None:
    ratings = "".join(f"{user},{film},{1 + film % 5},{film}\n" for user in (1, 2) for film in range(40))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ml-latest-small/ratings.csv", f"userId,movieId,rating,timestamp\n{ratings}")
        archive.writestr("ml-latest-small/movies.csv", "movieId,title,genres\n1,Heat (1995),Drama\n")
    server.content, server.md5 = packed.getvalue(), None
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "movielora",
            "prepare",
            "--download",
            "ml-latest-small",
            "--output-dir",
            "set",
            "--json",
        ],
        env={**os.environ, "MOVIELORA_DOWNLOAD_URL": server.url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"train": 44, "eval": 2, "test": 4}
    assert (tmp_path / ".cache" / "downloads" / "ml-latest-small.zip").read_bytes() == server.content
    assert "Downloading ml-latest-small.zip" in done.stderr
