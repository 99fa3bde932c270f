"""The selected rows as a file for a spreadsheet or a script."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Literal

from movielora.errors import OutputError
from movielora.evaluation.analysis.rows import Analysis, example
from movielora.scoring.log_odds import Ints
from movielora.storage.atomic import write_text_atomically

ExportFormat = Literal["csv", "jsonl"]

COLUMNS = (
    "row",
    "bucket",
    "label",
    "user_id",
    "candidate_title",
    "base_log_odds",
    "base_p_yes",
    "adapter_log_odds",
    "adapter_p_yes",
    "input",
)
# A spreadsheet runs a cell that starts so as a formula; a leading apostrophe makes it text.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_rows(analysis: Analysis, rows: Ints, form: ExportFormat) -> Path:
    """Write `selection.csv` or `selection.jsonl` into the comparison folder. Raises OutputError."""
    examples = [example(analysis, row) for row in rows.tolist()]
    path = analysis.folder.root / f"selection.{form}"
    text = _csv(examples) if form == "csv" else "".join(f"{json.dumps(e, ensure_ascii=False)}\n" for e in examples)
    try:
        write_text_atomically(path, text, durable=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "mend the folder's permissions") from None
    return path


def _csv(examples: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for found in examples:
        scores = {
            f"{model}_{field}": found[model][field] for model in ("base", "adapter") for field in ("log_odds", "p_yes")
        }
        writer.writerow([_cell((found | scores).get(column)) for column in COLUMNS])
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
