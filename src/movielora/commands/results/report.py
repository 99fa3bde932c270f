"""`movielora report`."""

from __future__ import annotations

import webbrowser
from contextlib import nullcontext
from typing import Annotated

import typer

from movielora.commands.completion import complete_run
from movielora.console import output, reporting
from movielora.errors import ConfigError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora report demo --open")
def report(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_run, metavar="RUN", help="Name or folder of a run, or a comparison folder."
        ),
    ],
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page to this machine only, until Ctrl-C.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of --serve.", show_default="8750 or a free one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Build the page of a comparison, one file that works offline, and open it."""
    from movielora.console.results.report_view import show_page
    from movielora.evaluation.report.build import write_report
    from movielora.evaluation.report.serve import serve_page
    from movielora.evaluation.saved.find import find_comparison
    from movielora.machine.signals import until_interrupted

    if port is not None and not serve:
        raise ConfigError("--port is the port of --serve", "add --serve, or leave --port out")
    folder = find_comparison(run, "report")
    page = write_report(folder, reporting.reporter())
    with until_interrupted() as wait, serve_page(page, port) if serve else nullcontext() as served:
        opened = open_page and webbrowser.open(served.address if served else page.resolve().as_uri())
        if open_page and not opened:
            reporting.reporter().warn("no browser could be opened here; open the page yourself")
        if as_json:
            facts = {"report": str(page), "bytes": page.stat().st_size, "opened": opened}
            output.emit_json(facts | (served.to_json() if served else {}))
        else:
            show_page(page, folder, served)
        if served:
            wait()
