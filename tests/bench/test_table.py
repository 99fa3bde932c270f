"""The table of ratios: what it says of a report, and that README's is the one of the committed reports."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REPORT = {
    "name": "invented",
    "question": "this against that",
    "quick": False,
    "unit": "s/step",
    "work": {"layers": 28, "dtype": "bfloat16", "rows": 4000},
    "goals": [{"measure": "ratio", "at_least": 2.0}, {"measure": "peak_bytes", "at_most": 4e9}],
    "measures": {"ratio": 2.5, "memory_ratio": 0.62, "peak_bytes": 5.1e9},
    "sides": {"movielora": {"seconds": 3.68197}, "trl": {"seconds": 123.4}},
}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("table")


def _row(table: Any, folder: Path, report: dict[str, Any]) -> list[str]:
    (folder / "invented.json").write_text(json.dumps(report), encoding="utf-8")
    return [cell.strip() for cell in table.make_table(folder).splitlines()[-1].strip("|").split("|")]


def test_a_row_says_what_was_measured_and_which_goal_was_missed(table: Any, tmp_path: Path) -> None:
    assert _row(table, tmp_path, REPORT) == [
        "invented",
        "this against that (28 layers, bfloat16, 4,000 rows)",
        "3.68 s/step",
        "trl: 123 s/step",
        "2.50×",
        "0.62×, peak 5.10 GB",
        "≥ 2×, peak ≤ 4 GB",
        "no: peak ≤ 4 GB",
    ]


def test_a_row_without_a_ratio_has_its_own_measure_and_goal(table: Any, tmp_path: Path) -> None:
    goals = {"goals": [{"measure": "seconds", "at_most": 4}], "measures": {"seconds": 3.68197}, "unit": "s"}
    row = _row(table, tmp_path, {**REPORT, **goals})
    assert row[4:] == ["–", "–", "≤ 4 s", "yes"]


def test_a_quick_run_is_not_judged(table: Any, tmp_path: Path) -> None:
    assert _row(table, tmp_path, {**REPORT, "quick": True})[-1] == "not judged"


def test_only_the_table_under_its_heading_is_exchanged(table: Any) -> None:
    text = "| other |\n\n## Is it fast?\n\nwords\n\n| old |\n| rows |\n\nmore\n\n| last |\n"
    exchanged = table.replace_table(text, "| new |\n")
    assert exchanged == "| other |\n\n## Is it fast?\n\nwords\n\n| new |\n\nmore\n\n| last |\n"
    assert table.replace_table(exchanged, "| new |\n") == exchanged
    with pytest.raises(ValueError, match="no table"):
        table.replace_table("# nothing\n", "| new |\n")


def test_the_readme_holds_the_table_of_the_committed_reports(table: Any) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    made = table.make_table(ROOT / "bench" / "results")
    assert table.replace_table(readme, made) == readme, "run `python bench/table.py --write`"
