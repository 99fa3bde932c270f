"""The view of `movielora report`: where the page is, and how a browser at the other end of SSH gets it."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from movielora.console.output import stderr, stdout
from movielora.errors import shell_command
from movielora.evaluation.report.serve import USUAL_PORT, Served, address_at
from movielora.machine.remote import ssh_forward_line


def show_page(page: Path, folder: Path, served: Served | None) -> None:
    """Print the address if the page is served, else its path; how to reach it from elsewhere goes to stderr."""
    stdout().print(escape(served.address if served else str(page)), soft_wrap=True)
    if served:
        lines = [f"on your own computer first: {served.tunnel}"] if served.tunnel else []
        lines.append("only this machine can read it; stop with Ctrl-C")
    else:
        lines = _from_elsewhere(folder)
    for line in lines:
        stderr().print(escape(line), style="dim", soft_wrap=True)


def _from_elsewhere(folder: Path) -> list[str]:
    tunnel = ssh_forward_line(USUAL_PORT)
    if tunnel is None:
        return []
    serve = shell_command("movielora", "report", folder, "--serve", "--port", str(USUAL_PORT))
    return [
        "this is a remote machine; to read the page on your own computer:",
        f"  here   {serve}",
        f"  there  {tunnel}",
        f"  then open {address_at(USUAL_PORT)} there",
    ]
