"""`movielora logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from movielora.commands.completion import complete_run
from movielora.errors import ConfigError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora logs -f")
def logs(
    run: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_run, help="Name or folder of a run; default: the live one, or the newest."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines as they come, until the run ends.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 100,
    metrics: Annotated[bool, typer.Option("--metrics", help="Show steps and evaluations as a table instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the log of a run, or follow it until the run ends."""
    from movielora.console.output import emit_json
    from movielora.console.training.logs_view import (
        follow_log,
        follow_metrics,
        log_json,
        metrics_json,
        show_log,
        show_metrics,
    )
    from movielora.runs.lookup.find import find_run

    if follow and as_json:
        raise ConfigError("--follow keeps printing and --json prints one object: give one of them")
    paths = find_run(run)
    if as_json:
        emit_json(metrics_json(paths, lines) if metrics else log_json(paths, lines))
    elif metrics:
        (follow_metrics if follow else show_metrics)(paths, lines)
    else:
        (follow_log if follow else show_log)(paths, lines)
