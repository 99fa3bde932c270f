"""`movielora resume`."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import replace
from typing import Annotated

import typer

from movielora.commands.completion import complete_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora resume --detach")
def resume(
    run: Annotated[
        str | None, typer.Argument(autocompletion=complete_run, help="Name or folder of a run; default: the newest.")
    ] = None,
    extra_epochs: Annotated[float, typer.Option(min=0, help="Epochs beyond those of the recorded config.")] = 0.0,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background; this shell may be closed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Continue a run from its newest complete checkpoint; needs no config."""
    from movielora.console import output, reporting
    from movielora.console.training.detach_view import show_detached
    from movielora.runs.detach import start_detached
    from movielora.runs.lookup.find import run_to_resume
    from movielora.runs.paths import RunPaths
    from movielora.runs.run_guard import settle_replaced

    paths = RunPaths(run_to_resume(run).root.resolve())
    settle_replaced(paths, reporting.reporter())
    if detach:
        argv = ["resume", str(paths.root), "--extra-epochs", str(extra_epochs)]
        started = start_detached(argv, paths.root, reporting.reporter(), mode="resume")
        output.emit_json(started.to_json()) if as_json else show_detached(started)
        return
    from movielora.console.training.train_view import show_training
    from movielora.training.resume import recorded_config, recorded_folder
    from movielora.training.train import TrainRequest, train_run

    with chdir(recorded_folder(paths)):  # its config's relative paths were meant from there
        request = TrainRequest(recorded_config(paths), mode="resume", extra_epochs=extra_epochs)
        show_training(lambda shown, log: train_run(replace(request, log=log), shown), as_json=as_json)
