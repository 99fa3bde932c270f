"""The view of a run that was started in the background."""

from __future__ import annotations

from rich.markup import escape

from movielora.console.output import stdout
from movielora.runs.detach import Detached
from movielora.runs.lookup.find import call_name


def show_detached(started: Detached) -> None:
    """Print name, PID, log, and the three commands that come next."""
    name = escape(call_name(started.run_dir, started.run))
    console = stdout()
    state = "has passed its checks" if started.checked else "is still loading"
    console.print(f"[bold]{escape(started.run)}[/]  PID {started.pid}  {state} and runs in the background")
    console.print(f"log     {escape(str(started.log))}", soft_wrap=True)
    console.print()
    for words, what in (
        (f"status --watch {name}", "watch progress"),
        (f"logs -f {name}", "follow its log"),
        (f"stop {name}", "save and end; continue with resume"),
    ):
        console.print(f"  movielora {words}  [dim]{what}[/]", soft_wrap=True)
