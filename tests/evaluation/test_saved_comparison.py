"""Comparisons of the previous version are read; today's names and theirs are the same values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import main
from movielora.console.results.compare_view import show_comparison
from movielora.errors import DataError
from movielora.evaluation.analysis.analyze import AnalyzeRequest, analyze
from movielora.evaluation.report.build import write_report
from movielora.evaluation.saved.analysis import load_analysis
from movielora.evaluation.saved.comparison_json import entries, read_comparison, roles_of
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.progress import SILENT
from movielora.scoring.score_table import Roles
from synthetic_comparison import Invented

FIXTURE = Path(__file__).parents[1] / "fixtures" / "comparison_v1"


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "comparison"))


def test_version_1_is_read(version_1: Path) -> None:
    written = json.loads((version_1 / "comparison.json").read_text(encoding="utf-8"))
    analysis = load_analysis(version_1)
    assert "roles" not in written
    assert analysis.roles == Roles("base", "adapter")
    assert analysis.table["adapter"].log_odds[0] == 5.10474967956543
    assert {key: analysis.comparison[key] for key in written if key not in ("difference", "verdict_detail")} == {
        key: written[key] for key in written if key not in ("difference", "verdict_detail")
    }
    difference = analysis.comparison["difference"]
    assert difference["candidate_minus_reference"] == written["difference"]["adapter_minus_base"]
    assert difference["candidate_minus_best_baseline"] == written["difference"]["adapter_minus_best_baseline"]


def test_version_1_is_shown_selected_and_drawn(version_1: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = analyze(AnalyzeRequest(version_1, show_examples=2, export="csv"), SILENT)
    assert found["matched"] == found["samples"] == 28
    assert found["columns"] == {"base": found["base"], "adapter": found["adapter"]}
    header = Path(found["export"]).read_text(encoding="utf-8").partition("\n")[0]
    assert "base_log_odds,base_p_yes,adapter_log_odds,adapter_p_yes" in header
    assert write_report(version_1).stat().st_size > 10_000
    show_comparison(read_comparison(ComparisonFolder(version_1)))
    with pytest.raises(SystemExit, match="0"):
        main(["analyze", str(version_1), "--show-examples", "1"])
    assert "the base was wrong" not in capsys.readouterr().err


def without_roles(comparison: dict[str, Any]) -> dict[str, Any]:
    """As version 1 wrote it: no roles, no names by role."""
    former = {key: value for key, value in comparison.items() if key != "roles"}
    former["models"] = {key: value for key, value in former["models"].items() if key != "runs"}
    former["difference"] = {key: value for key, value in former["difference"].items() if key.startswith("adapter_")}
    former["verdict_detail"] = {k: v for k, v in former["verdict_detail"].items() if k != "against_reference"}
    former["slices"] = [
        {key: value for key, value in entry.items() if not key.startswith(("reference", "candidate"))}
        for entry in former["slices"]
    ]
    return former


def test_names_of_both_versions_hold_the_same_values(invented: Invented, tmp_path: Path) -> None:
    written = json.loads(invented.folder.comparison.read_text(encoding="utf-8"))
    assert len(written["slices"]) > 3
    folder = ComparisonFolder(tmp_path)
    folder.comparison.write_text(json.dumps(without_roles(written)), encoding="utf-8")
    read = read_comparison(folder)
    assert read | {"models": {**read["models"], "runs": {}}} == written
    assert list(entries(read)) == list(entries(written))
    assert roles_of(read) == roles_of(written) == Roles("base", "adapter")


def test_a_comparison_that_is_no_comparison_is_refused(version_1: Path) -> None:
    (version_1 / "comparison.json").write_text('{"samples": 28}', encoding="utf-8")
    with pytest.raises(DataError, match="is not of this version") as error:
        load_analysis(version_1)
    assert error.value.next_step == "run movielora compare again"
