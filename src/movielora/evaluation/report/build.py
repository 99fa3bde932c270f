"""Build report.html: the template, the style, the script and the data in one file that needs nothing else.

Nothing from the data is ever markup. The few words in the template are escaped by Jinja; everything else travels as
JSON, where `<` is written `\\u003c` so that no text can end the script element, and the script puts it on the page as
text only. A content security policy allows the page's own script, by its hash, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from movielora.evaluation.report.payload import page_data
from movielora.evaluation.saved.analysis import Analysis, load_analysis
from movielora.evaluation.saved.own_files import write_own
from movielora.progress import SILENT, Reporter

# In the order in which they build on one another.
_SCRIPTS = (
    "basis.js",
    "meanings.js",
    "selection.js",
    "leaders.js",
    "charts.js",
    "scatter.js",
    "rows.js",
    "drawer.js",
    "page.js",
)


def write_report(root: Path, reporter: Reporter = SILENT) -> Path:
    """Read the comparison folder `root` and write its `report.html`; returns the page's path.

    Raises DataError if the comparison is unfinished or inconsistent, OutputError if the page cannot be written, or
    `report.html` is somebody else's.
    """
    return save_report(load_analysis(root), reporter)


def save_report(analysis: Analysis, reporter: Reporter = SILENT) -> Path:
    """As `write_report`, for a comparison already read."""
    path = analysis.folder.report
    if analysis.former:
        reporter.warn(analysis.former)
    with reporter.phase("Writing the report"):
        write_own(analysis.folder, path, render_report(analysis))
    return path


def render_report(analysis: Analysis) -> str:
    """The whole page as text; the same comparison gives the same page."""
    from jinja2 import Environment, StrictUndefined

    page = files("movielora.evaluation.report") / "page"
    script = "\n".join((page / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'(function () {{\n"use strict";\n{script}\n}})();\n'
    data = page_data(analysis)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((page / "report.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        title=data["title"],
        verdict=data["verdict"],
        outcome=data["outcome"],
        former=data["former"],
        described=data["described"],
        sampled=data["sampled"],
        style=(page / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=embed_json(data),
    )


def embed_json(value: Any) -> str:
    """JSON that cannot leave a `<script>` element, whatever the texts in it say."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
