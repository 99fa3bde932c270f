"""`movielora runs`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora runs")
def runs(
    show_all: Annotated[bool, typer.Option("--all", help="Show the older ones too, not only the newest.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the runs under output/, the newest first."""
    from movielora.console.output import emit_json
    from movielora.console.training.runs_view import SHOWN, runs_json, show_runs
    from movielora.runs.lookup.find import list_runs
    from movielora.runs.status.status import read_status

    found = list_runs()
    shown = [read_status(paths, measure=False) for paths in (found if show_all else found[:SHOWN])]
    if as_json:
        emit_json(runs_json(shown))
    else:
        show_runs(shown, left_out=len(found) - len(shown))
