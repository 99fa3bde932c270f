"""Fetching MovieLens from GroupLens: with progress, resumed after a break, and checked before it is used.

`ml-1m.zip.part` grows in the cache folder; a broken transfer continues from its end by an HTTP range request, guarded
by `If-Range` so that a file which changed meanwhile starts again. It becomes `ml-1m.zip` when its checksum is right.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import ssl
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from movielora import __version__
from movielora.errors import ConfigError, OutputError, WorkError, what_helps
from movielora.progress import SILENT, Phase, Reporter
from movielora.sources.movielens.download_names import GROUPLENS, Download

# The MD5 that GroupLens publishes for the versions that never change. ml-latest-small changes from time to time, so
# its checksum is fetched beside it; if there is none, the zip's own checksums are all there is to go by.
_MD5 = {
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-32m": "d472be332d4daa821edc399621853b57",
}
_MD5_TEXT = re.compile(r"\b[0-9a-fA-F]{32}\b")
_MOST_BYTES = 4 * 1024**3
_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 60
_ATTEMPTS = 4


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only if its scheme stays what it was: never from https to http, ftp or a file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            raise urllib.error.URLError(f"it redirects to another scheme ({newurl[:80]})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _BrokenOffError(Exception):
    """The connection ended before the file did; another attempt continues from there."""


@dataclass(frozen=True)
class _Files:
    """The finished zip, the growing one, and the validator (ETag or date) that the growing one was begun with."""

    zip: Path
    part: Path
    validator: Path

    def forget_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)


def fetch(name: Download, folder: Path, reporter: Reporter = SILENT, base_url: str = GROUPLENS) -> Path:
    """The path of `name`'s zip in `folder`, fetched if it is not there yet.

    A zip that is there is checked again and not fetched again.

    Raises:
        ConfigError: the URL is neither http nor https.
        WorkError: the server cannot be reached, does not have it, or sends something else than it should.
        OutputError: the cache folder cannot be written.
    """
    url = f"{base_url.rstrip('/')}/{name}.zip"
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"{base_url} is neither an http nor an https address.", "Leave MOVIELORA_DOWNLOAD_URL unset.")
    files = _Files(folder / f"{name}.zip", folder / f"{name}.zip.part", folder / f"{name}.zip.part.validator")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if files.zip.exists():
            reporter.note(f"Using {files.zip}, fetched before.")
            _check_or_remove(files.zip, files, _MD5.get(name), reporter)
            return files.zip
        _download(url, files, reporter)
        md5 = _MD5.get(name) or _published_md5(url)
        if md5 is None:
            reporter.note(f"No published checksum of {name}.zip could be had; the zip's own checksums are used.")
        _check_or_remove(files.part, files, md5, reporter)
        files.part.replace(files.zip)
        files.validator.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}.", f"{what_helps(error).capitalize()}."
        ) from error
    return files.zip


def _download(url: str, files: _Files, reporter: Reporter) -> None:
    """Fill `files.part` up to its end, in a few attempts."""
    label = f"Downloading {files.zip.name}"
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            _transfer(url, files, label, reporter)
            return
        except _BrokenOffError as error:
            reason = str(error)
            reporter.note(f"{label} broke off ({reason}); going on from {_size(files.part):,} bytes.")
    raise WorkError(
        f"{url} broke off {_ATTEMPTS} times ({reason}).", "Run the same command again: it goes on from there."
    )


def _transfer(url: str, files: _Files, label: str, reporter: Reporter) -> None:
    """One request, from where the part ends.

    Raises:
        _BrokenOffError: it ended early.
        WorkError: the server refused, or what it sends is not the file.
    """
    have = _size(files.part)
    validator = files.validator.read_text("utf-8", "replace") if have and files.validator.exists() else ""
    if not validator:  # nothing proves that the server's file is still the one begun
        have = 0
    headers = {"Range": f"bytes={have}-", "If-Range": validator} if have else {}
    try:
        response = _open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was complete already
            files.forget_part()
            raise _BrokenOffError("the part did not fit the file") from error
        raise
    with response:
        resumes = response.status == http.client.PARTIAL_CONTENT and _range_start(response.headers) == have
        if not resumes and response.status != http.client.OK:
            files.forget_part()
            raise _BrokenOffError(f"status {response.status}")
        have = have if resumes else 0
        total = _total(response.headers, have)
        if (total or 0) > _MOST_BYTES:
            raise WorkError(f"{url} is {total:,} bytes, more than any MovieLens.", "Check MOVIELORA_DOWNLOAD_URL.")
        files.validator.write_text(_validator(response.headers), "utf-8", "replace")
        with reporter.phase(label, total and -(-total // 1000), "kB") as phase:
            _copy(response, files.part, have, total, phase)


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Open `url`; a refusal other than 416 becomes a `WorkError`, an unreachable server too."""
    request = urllib.request.Request(url, headers={"User-Agent": f"movielora/{__version__}", **headers})  # noqa: S310
    opener = urllib.request.build_opener(_SameScheme)
    again = "Check the network, or fetch it with a browser and give the zip as --source."
    try:
        return opener.open(request, timeout=_TIMEOUT_SECONDS)  # type: ignore[no-any-return]
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        raise WorkError(f"{url} answers {error.code} {error.reason}.", again) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise WorkError(f"{url} has no valid certificate: {error.reason}.", again) from error
        raise WorkError(f"{url} cannot be fetched: {error.reason}.", again) from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _copy(response: http.client.HTTPResponse, part: Path, have: int, total: int | None, phase: Phase) -> None:
    with part.open("ab" if have else "wb") as out:
        phase.update(-(-have // 1000))
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenOffError(str(error) or type(error).__name__) from error
            if not chunk:
                break
            out.write(chunk)
            have += len(chunk)
            if have > (total or _MOST_BYTES):
                raise WorkError(f"{part.name} grew past its size.", "Run the same command again.")
            phase.update(-(-have // 1000))
    if total is not None and have < total:
        raise _BrokenOffError(f"{have:,} of {total:,} bytes came")


def _published_md5(url: str) -> str | None:
    """The checksum that the server publishes beside the file, or None if it has none."""
    try:
        with _open(f"{url}.md5", {}) as response:
            found = _MD5_TEXT.search(response.read(4096).decode("ascii", "replace"))
    except (WorkError, _BrokenOffError, OSError, http.client.HTTPException):
        return None  # the caller says that there is none
    return found[0].lower() if found else None


def _check_or_remove(path: Path, files: _Files, md5: str | None, reporter: Reporter) -> None:
    """Raise `WorkError` and remove `path` if it is not what was published."""
    with reporter.phase(f"Checking {files.zip.name}"):
        problem = _md5_problem(path, md5) if md5 is not None else _zip_problem(path)
    if problem:
        path.unlink()
        files.forget_part()
        raise WorkError(f"{files.zip.name} is damaged: {problem}.", "Run the same command again to fetch it again.")


def _md5_problem(path: Path, md5: str) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return "" if found == md5 else f"its MD5 is {found} and should be {md5}"


def _zip_problem(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as opened:
            damaged = opened.testzip()
    except zipfile.BadZipFile as error:
        return f"it is no sound zip ({error})"
    return f"{damaged} does not fit its checksum" if damaged else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _validator(headers: Message) -> str:
    """What proves that a later answer is of the same file: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag", "")
    return str(headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag)


def _range_start(headers: Message) -> int | None:
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def _total(headers: Message, have: int) -> int | None:
    """The size of the whole file, if the server says it."""
    length = headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None
