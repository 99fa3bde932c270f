"""Serve one page on this machine's own address, for a browser at the other end of an SSH connection."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from movielora.errors import ConfigError
from movielora.machine.remote import LOOPBACK, ssh_forward_line

# Of no well-known program; a free one is taken if it is in use.
USUAL_PORT = 8750
# Names under which a browser reaches this address: a page of the web that another name leads here is refused.
_OWN_NAMES = (LOOPBACK, "localhost")


@dataclass(frozen=True)
class Served:
    """`tunnel` is the command that leads a port of another computer here; None if this is no SSH session."""

    address: str
    tunnel: str | None

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)


@contextmanager
def serve_page(page: Path, port: int | None = None) -> Iterator[Served]:
    """Serve `page`, and nothing else, until the block ends; yields where.

    Raises ConfigError if `port` is taken or not allowed; without one the usual port is taken, or a free one.
    """
    server = _bind(port, _handler_of(page))
    answering = Thread(target=server.serve_forever, daemon=True)
    answering.start()
    try:
        taken = int(server.server_address[1])
        yield Served(address_at(taken), ssh_forward_line(taken))
    finally:
        server.shutdown()
        answering.join()
        server.server_close()


def address_at(port: int) -> str:
    """Where a browser finds the page, here and at the other end of a tunnel."""
    return f"http://{LOOPBACK}:{port}/"


def _bind(port: int | None, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((LOOPBACK, USUAL_PORT if port is None else port), handler)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return ThreadingHTTPServer((LOOPBACK, 0), handler)
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise ConfigError(f"port {port or USUAL_PORT} {reason}", "leave --port out for a free one") from None


def _handler_of(page: Path) -> type[BaseHTTPRequestHandler]:
    """Answers GET and HEAD of `/` and `/report.html` with the file as it is then; anything else is not found."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "movielora", ""

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> bytes:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            path = self.path.partition("?")[0].partition("#")[0]
            if host not in _OWN_NAMES or path not in ("/", f"/{page.name}"):
                return self._head(HTTPStatus.NOT_FOUND, b"There is nothing here.\n", "text/plain")
            try:
                return self._head(HTTPStatus.OK, page.read_bytes(), "text/html")
            except OSError:
                return self._head(HTTPStatus.GONE, b"The page has been removed.\n", "text/plain")

        def _head(self, status: HTTPStatus, body: bytes, kind: str) -> bytes:
            self.send_response(status)
            for field, value in (
                ("Content-Type", f"{kind}; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ):
                self.send_header(field, value)
            self.end_headers()
            return body

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests are not printed."""

    return Handler
