"""Columns are named for what they are: no "base" where no base was scored; roles say which two are compared."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from movielora.console.results.analyze_view import show_analysis
from movielora.console.results.compare_view import show_comparison
from movielora.evaluation.analysis.analyze import AnalyzeRequest, analyze
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.columns import reserved_columns
from movielora.evaluation.comparison.summary import summarise, write_summary
from movielora.evaluation.report.build import write_report
from movielora.evaluation.report.payload import page_data
from movielora.evaluation.saved.analysis import load_analysis
from movielora.evaluation.saved.example_rows import first_rows
from movielora.progress import SILENT
from movielora.scoring.predictions import read_predictions
from movielora.scoring.score_table import Roles, free_name
from synthetic_comparison import Invented, invent_comparison

ROLES = Roles("july [b]", "august")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Invented, dict[str, Any]]:
    """The invented scores as those of two runs: base → `july [b]`, adapter → `august`."""
    made = invent_comparison(tmp_path_factory.mktemp("two-runs"))
    before = json.loads(made.folder.comparison.read_text(encoding="utf-8"))
    for path in (made.folder.predictions, made.folder.eval_predictions):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        named = [row | {ROLES.reference: row.pop("base"), ROLES.candidate: row.pop("adapter")} for row in rows]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in named), encoding="utf-8")
    on_eval = read_predictions(made.folder.eval_predictions)
    table = read_predictions(made.folder.predictions)
    runs = (ROLES.reference, ROLES.candidate)
    summary = summarise(table, row_facts(made.files), ROLES, on_eval=on_eval, runs=runs)
    write_summary(made.folder, summary, {})
    return made, before


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for item in value.values() for name in names_in(item)}
    return {name for item in value for name in names_in(item)} if isinstance(value, list) else set()


def test_two_runs_are_named_by_their_names(two_runs: tuple[Invented, dict[str, Any]]) -> None:
    made, as_base_and_adapter = two_runs
    found = json.loads(made.folder.comparison.read_text(encoding="utf-8"))
    assert found["roles"] == {"reference": "july [b]", "candidate": "august"}
    assert not {name for name in names_in(found) if name in ("base", "adapter") or "adapter_minus" in name}
    assert set(found["models"]["runs"]) == {"july [b]", "august"}
    assert found["verdict"].startswith("august beats july [b] (AUC")
    assert found["calibration"]["fitted_on"] == "eval"
    # The figures are those of the same scores under other names.
    former = as_base_and_adapter["models"]
    for name, former_name in (("july [b]", "base"), ("august", "adapter")):
        assert found["models"]["runs"][name] | {"name": former_name} == former[former_name]
    assert found["difference"]["candidate_minus_reference"] == as_base_and_adapter["difference"]["adapter_minus_base"]
    assert found["data"]["models"].keys() == {"july [b]", "august"}


def test_views_page_and_exports_of_two_runs(
    two_runs: tuple[Invented, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = two_runs
    comparison = json.loads(made.folder.comparison.read_text(encoding="utf-8"))
    show_comparison(comparison, first_rows(made.folder.predictions, 5, ROLES), verbose=True)
    found = analyze(AnalyzeRequest(made.folder.root, bucket="fixed", show_examples=2, export="csv"), SILENT)
    show_analysis(found, filtered=False)
    printed = capsys.readouterr().out
    assert "minus july [b]" in printed
    assert "july [b] wrong, august right" in printed
    paths = ("page", "exported", "next  ")
    assert [line for line in printed.splitlines() if len(line) > 80 and not line.startswith(paths)] == []
    assert "base" not in printed.replace("baseline", "")
    assert found["columns"].keys() == {"july [b]", "august"}
    assert "base" not in found
    with Path(found["export"]).open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert {"july [b]_log_odds", "july [b]_p_yes", "august_log_odds", "august_p_yes"} < row.keys()
    page = page_data(load_analysis(made.folder.root))
    assert [model["name"] for model in page["models"] if model["role"] == "reference"] == ["july [b]"]
    assert [model["name"] for model in page["models"] if model["role"] == "candidate"] == ["august"]
    assert page["title"] == "august against july [b]"
    assert page["own_names"] == ["july [b]", "august"]
    assert write_report(made.folder.root).is_file()


def test_names_that_are_taken_get_their_kind() -> None:
    taken = reserved_columns()
    assert free_name("august", taken, "run") == "august"
    assert free_name("base", taken, "run") == "base (run)"
    assert free_name("label", taken, "run") == "label (run)"
    assert free_name("majority", taken, "file") == "majority (file)"
    assert free_name("candidate_alone", taken, "file") == "candidate_alone (file)"
    assert free_name("x", {"x", "x (run)"}, "run") == "x (run 2)"
