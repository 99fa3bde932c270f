"""`movielora analyze`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from movielora.commands.completion import complete_run
from movielora.console import output, reporting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class BucketOption(StrEnum):
    BROKEN = "broken"
    FIXED = "fixed"
    BOTH_WRONG = "both_wrong"
    BOTH_RIGHT = "both_right"


class SortOption(StrEnum):
    CONFIDENCE = "confidence"
    DISAGREEMENT = "disagreement"
    ROW = "row"


class ExportOption(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


@app.command(epilog="Example: movielora analyze demo --bucket broken --slice genre=Drama")
def analyze(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_run, metavar="RUN", help="Name or folder of a run, or a comparison folder."
        ),
    ],
    bucket: Annotated[BucketOption | None, typer.Option(help="Rows of one bucket.", show_default="all")] = None,
    slices: Annotated[list[str], typer.Option("--slice", help="BY=NAME, such as genre=Drama; repeatable.")] = [],  # noqa: B006
    search: Annotated[str | None, typer.Option(help="Rows with this text in a title.", show_default="")] = None,
    user: Annotated[str | None, typer.Option(help="Rows of one user.", show_default="all")] = None,
    sort: Annotated[
        SortOption, typer.Option(help="Most confident answers or widest gaps first.")
    ] = SortOption.CONFIDENCE,
    show_examples: Annotated[int, typer.Option(min=0, help="Rows shown.")] = 10,
    export: Annotated[
        ExportOption | None, typer.Option(help="Write the rows into the comparison.", show_default="no")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show the rows that the adapter fixed, and those that it broke."""
    from movielora.console.results.analyze_view import show_analysis
    from movielora.evaluation.analysis.analyze import AnalyzeRequest
    from movielora.evaluation.analysis.analyze import analyze as run_analyze
    from movielora.evaluation.saved.find import find_comparison

    request = AnalyzeRequest(
        find_comparison(run, "analyze"),
        bucket=None if bucket is None else bucket.value,
        slices=tuple(slices),
        search=search,
        user=user,
        sort=sort.value,
        show_examples=show_examples,
        export=None if export is None else export.value,
    )
    analysis = run_analyze(request, reporting.reporter())
    filtered = any([bucket, slices, search, user])
    output.emit_json(analysis) if as_json else show_analysis(analysis, filtered=filtered)
