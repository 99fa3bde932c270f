"""`movielora runs`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora runs --all")
def runs(
    show_all: Annotated[bool, typer.Option("--all", help="Older runs too, and those in other folders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the runs under output/, the newest first."""
    from movielora.console.output import emit_json
    from movielora.console.training.runs_view import SHOWN, runs_json, show_runs
    from movielora.runs.lookup.find import list_runs, runs_elsewhere
    from movielora.runs.status.status import read_status

    found, others = list_runs(), runs_elsewhere()
    shown = [found, others] if show_all else [found[:SHOWN], []]
    here, elsewhere = ([read_status(paths, measure=False) for paths in chosen] for chosen in shown)
    older, left = len(found) - len(here), len(others) - len(elsewhere)
    if as_json:
        emit_json(runs_json([*here, *elsewhere], left_out=older + left))
    else:
        show_runs(here, elsewhere, older=older, others=left)
