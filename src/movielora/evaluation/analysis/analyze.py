"""The recipe of `movielora analyze`: read a comparison, select rows, write the page, describe the selection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.evaluation.analysis.export import ExportFormat, export_rows
from movielora.evaluation.report.build import save_report
from movielora.evaluation.saved.analysis import load_analysis
from movielora.evaluation.saved.example_rows import of_different_users
from movielora.evaluation.saved.selection import RowFilter, describe_selection, parse_slice, select_rows
from movielora.progress import Reporter


@dataclass(frozen=True)
class AnalyzeRequest:
    """What the user asked for; `slices` are texts like `genre=Drama`."""

    folder: Path
    bucket: str | None = None
    slices: tuple[str, ...] = ()
    search: str | None = None
    user: str | None = None
    sort: str = "confidence"
    show_examples: int = 10
    export: ExportFormat | None = None


def analyze(request: AnalyzeRequest, reporter: Reporter) -> dict[str, Any]:
    """Return what `--json` prints: the selection's figures, examples of it, the verdict, and the files written.

    Raises DataError for a comparison that cannot be read, ConfigError for a filter that does not exist, OutputError
    if a file cannot be written.
    """
    analysis = load_analysis(request.folder)
    wanted = RowFilter(
        bucket=request.bucket,
        slices=tuple(parse_slice(analysis, text) for text in request.slices),
        search=request.search,
        user=request.user,
    )
    rows = select_rows(analysis, wanted, request.sort)
    users = [analysis.table.records[row].get("user_id") for row in rows.tolist()]
    shown = rows[of_different_users(users, request.show_examples)] if request.sort != "row" else rows
    report = save_report(analysis, reporter)
    exported = export_rows(analysis, rows, request.export) if request.export else None
    return {
        "output_dir": str(request.folder),
        "samples": len(analysis.table),
        "verdict": analysis.comparison["verdict"],
        "former_adapter": analysis.former or None,
        **describe_selection(analysis, rows),
        "slices": analysis.comparison["slices"],
        "slices_hidden": analysis.comparison["data"]["slices_hidden"],
        "slices_min_rows": analysis.comparison["data"]["slices_min_rows"],
        "examples": [analysis.example(row) for row in shown[: request.show_examples].tolist()],
        "report": str(report),
        "export": None if exported is None else str(exported),
    }
