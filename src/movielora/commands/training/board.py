"""`movielora board`."""

from __future__ import annotations

import signal
from contextlib import ExitStack, suppress
from typing import Annotated

import typer

from movielora.commands.completion import complete_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora board")
def board(
    runs: Annotated[
        list[str] | None, typer.Argument(autocompletion=complete_run, help="Names or folders of runs; default: all.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port on this machine.", show_default="6006 or a free one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, then serve.")] = False,
) -> None:
    """Show runs' curves in TensorBoard, on this machine only, until Ctrl-C."""
    from movielora.console.output import emit_json, stderr, stdout
    from movielora.console.reporting import reporter
    from movielora.machine.remote import LOOPBACK, ssh_forward_line
    from movielora.machine.signals import SignalHandlers
    from movielora.runs.board import log_folders, serve_board
    from movielora.runs.lookup.find import find_run, list_runs, runs_elsewhere

    chosen = [find_run(run) for run in runs] if runs else list_runs() or runs_elsewhere()
    folders = log_folders(chosen)
    for paths in chosen if runs else ():
        if not paths.tensorboard.is_dir():
            reporter().warn(f"{paths.root} has no TensorBoard logs and is left out")
    with SignalHandlers() as handlers, ExitStack() as until_ended:
        handlers.install(signal.SIGTERM, signal.default_int_handler)  # a `kill` must not leave the server behind
        process, serving = until_ended.enter_context(serve_board(folders, port))
        address, tunnel = f"http://{LOOPBACK}:{serving}/", ssh_forward_line(serving)
        if as_json:
            emit_json({"address": address, "runs": sorted(folders), "pid": process.pid, "tunnel": tunnel})
        else:
            stdout().print(address)
            if tunnel:
                stderr().print(f"first, on your own computer: {tunnel}", markup=False, soft_wrap=True)
            stderr().print(f"{', '.join(sorted(folders))}: stop with Ctrl-C", style="dim", markup=False)
        with suppress(KeyboardInterrupt):
            process.wait()
