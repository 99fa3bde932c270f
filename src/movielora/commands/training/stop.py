"""`movielora stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from movielora.commands.completion import complete_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora stop")
def stop(
    run: Annotated[
        str | None,
        typer.Argument(autocompletion=complete_run, help="Name or folder of a run; default: the one that is alive."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait before its processes are killed.", show_default="120; 10 with --force"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do not wait for a checkpoint: end at once, then kill.")
    ] = False,
    no_save: Annotated[bool, typer.Option("--no-save", help="End after this step; keep the last checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a run to save a checkpoint and end, and wait for it."""
    from movielora.console.output import emit_json
    from movielora.console.reporting import reporter
    from movielora.console.training.stop_view import show_stopped
    from movielora.errors import WorkError
    from movielora.runs.lookup.find import run_to_stop
    from movielora.runs.stopping import stop_run

    paths = run_to_stop(run)
    stopped = stop_run(paths, reporter(), timeout=timeout, force=force, save=not no_save)
    if as_json:
        emit_json(stopped.to_json())
    else:
        show_stopped(stopped, paths)
    if stopped.forced:
        raise WorkError(f"{stopped.run} did not end in time and was killed", "its earlier checkpoints are complete")
