"""The view of `movielora stop`."""

from __future__ import annotations

from rich.markup import escape

from movielora.console.output import stdout
from movielora.console.reporting import format_duration
from movielora.console.training.status_view import after_title
from movielora.errors import shell_command
from movielora.runs.lookup.find import call_name
from movielora.runs.paths import RunPaths
from movielora.runs.stopping import Stopped


def show_stopped(stopped: Stopped, paths: RunPaths) -> None:
    console = stdout()
    console.print(f"[bold]{escape(stopped.run)}[/]  {stopped.state} after {format_duration(stopped.waited_seconds)}")
    if stopped.reason:
        console.print(escape(after_title(stopped.reason, stopped.run, stopped.state)), style="dim")
    if stopped.checkpoint:
        console.print(f"newest complete checkpoint: {escape(stopped.checkpoint)}", soft_wrap=True)
    if stopped.state != "finished":
        command = shell_command("movielora", "resume", call_name(paths.root, stopped.run))
        console.print(f"continue with: {escape(command)}", soft_wrap=True)
