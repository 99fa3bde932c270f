"""`movielora report`."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer
from rich.markup import escape

from movielora.console import output, reporting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora report demo --open")
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name or folder of a run, or a comparison folder.")],
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Build the page of a comparison, one file that works offline, and open it."""
    from movielora.evaluation.report.build import write_report
    from movielora.evaluation.saved.find import find_comparison

    page = write_report(find_comparison(run, "report"), reporting.reporter())
    opened = open_page and webbrowser.open(page.resolve().as_uri())
    if open_page and not opened:
        reporting.reporter().warn("no browser could be opened here; open the page yourself")
    if as_json:
        output.emit_json({"report": str(page), "bytes": page.stat().st_size, "opened": opened})
    else:
        output.stdout().print(escape(str(page)), soft_wrap=True)
