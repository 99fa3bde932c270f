"""`movielora status`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from movielora.commands.completion import complete_run
from movielora.errors import ConfigError

_WATCH_SECONDS = "2"


class _WatchCommand(TyperCommand):
    """Accepts a bare `--watch`: if no number follows, the default interval is inserted."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--watch" in args:
            after = args.index("--watch") + 1
            if after == len(args) or not args[after].replace(".", "", 1).isdigit():
                args = [*args[:after], _WATCH_SECONDS, *args[after:]]
        return super().parse_args(ctx, args)


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=_WatchCommand, epilog="Example: movielora status --watch")
def status(
    run: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_run, help="Name or folder of a run; default: the live one, or the newest."
        ),
    ] = None,
    watch: Annotated[
        float | None, typer.Option(metavar="[SECONDS]", help="Redraw in place until the run ends; default: every 2 s.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a run is doing now, or how it ended."""
    from movielora.console.output import emit_json
    from movielora.console.training.status_view import show_status, status_page
    from movielora.runs.lookup.find import find_run
    from movielora.runs.status.status import read_status

    if watch is not None and as_json:
        raise ConfigError("--watch keeps redrawing and --json prints one object: give one of them")
    paths = find_run(run)
    if as_json:
        emit_json(read_status(paths).to_json())
    elif watch is None:
        show_status(read_status(paths))
    else:
        from movielora.console.live import redraw

        def look() -> tuple[Any, bool]:
            now = read_status(paths)
            return status_page(now), now.alive

        redraw(look, every_seconds=max(watch, 0.2), sleep=time.sleep)
