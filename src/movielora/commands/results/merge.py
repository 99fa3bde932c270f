"""`movielora merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movielora.commands.completion import complete_run
from movielora.console import output, reporting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora merge output/qwen3 --output-dir models/qwen3-films")
def merge(
    run: Annotated[
        str, typer.Argument(autocompletion=complete_run, help="Name or folder of a finished run, or an adapter folder.")
    ],
    output_dir: Annotated[Path, typer.Option(help="A new folder for the merged model.")],
    test_file: Annotated[
        Path | None, typer.Option(help="Rows scored before and after.", show_default="the dataset's test rows")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows are scored.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Add the adapter to 16-bit weights, and check that the answers stay the same."""
    from movielora.console.results.merge_view import show_merged
    from movielora.publishing.merge import MergeRequest
    from movielora.publishing.merge import merge as run_merge
    from movielora.runs.lookup.find import find_run

    request = MergeRequest(find_run(run).root, output_dir, test_file, rows)
    merged = run_merge(request, reporting.reporter())
    output.emit_json(merged.to_json()) if as_json else show_merged(merged)
