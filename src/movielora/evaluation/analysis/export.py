"""Write the selected rows as a file for a spreadsheet or a script."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Literal

from movielora.evaluation.saved.analysis import Analysis
from movielora.evaluation.saved.own_files import write_own
from movielora.scoring.log_odds import Ints
from movielora.scoring.score_table import Roles

ExportFormat = Literal["csv", "jsonl"]

_FIELDS = ("log_odds", "p_yes")
# A spreadsheet runs a cell that starts so as a formula; a leading apostrophe makes it text.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_rows(analysis: Analysis, rows: Ints, form: ExportFormat) -> Path:
    """Write `selection.csv` or `selection.jsonl` into the comparison folder. Raises OutputError, also if one that was
    edited is there."""
    examples = [analysis.example(row) for row in rows.tolist()]
    path = analysis.folder.root / f"selection.{form}"
    text = (
        _csv(examples, analysis.roles)
        if form == "csv"
        else "".join(f"{json.dumps(e, ensure_ascii=False)}\n" for e in examples)
    )
    write_own(analysis.folder, path, text)
    return path


def _csv(examples: list[dict[str, Any]], roles: Roles) -> str:
    scores = {
        f"{column}_{field}": (column, field) for column in (roles.reference, roles.candidate) for field in _FIELDS
    }
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(
        [_cell(name) for name in ("row", "bucket", "label", "user_id", "candidate_title", *scores, "input")]
    )
    for found in examples:
        known = [found.get(name) for name in ("row", "bucket", "label", "user_id", "candidate_title")]
        figures = [found[column][field] for column, field in scores.values()]
        writer.writerow([_cell(value) for value in (*known, *figures, found.get("input"))])
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
