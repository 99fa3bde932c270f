"""Filters, orders, exports and the terminal's pages, on an invented comparison."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from movielora.console.results.analyze_view import show_analysis
from movielora.console.results.compare_view import show_comparison
from movielora.errors import ConfigError, DataError
from movielora.evaluation.analysis.analyze import AnalyzeRequest, analyze
from movielora.evaluation.saved.analysis import BUCKETS, Analysis, load_analysis
from movielora.evaluation.saved.example_rows import first_rows, question_of
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.selection import RowFilter, parse_slice, select_rows
from movielora.evaluation.saved.sentences import data_warnings
from movielora.progress import SILENT
from movielora.scoring.score_table import Roles
from synthetic_comparison import HOSTILE_TITLES, Invented, invent_comparison, score


@pytest.fixture(scope="module")
def analysis(invented: Invented) -> Analysis:
    return load_analysis(invented.folder.root)


def test_buckets_are_who_was_right(analysis: Analysis) -> None:
    for row, record in enumerate(analysis.table.records):
        right = {model: record[model]["prediction"] == record["label"] for model in ("base", "adapter")}
        expected = {(True, False): "broken", (False, True): "fixed", (False, False): "both_wrong"}
        assert BUCKETS[analysis.bucket[row]] == expected.get((right["base"], right["adapter"]), "both_right")


def test_broken_come_first_and_the_most_confident_of_them(analysis: Analysis) -> None:
    rows = select_rows(analysis, RowFilter())
    assert len(rows) == len(analysis.table)
    assert (np.diff(analysis.bucket[rows]) >= 0).all()
    broken = rows[analysis.bucket[rows] == 0]
    assert (np.diff(np.abs(analysis.table["adapter"].log_odds[broken])) <= 0).all()
    assert select_rows(analysis, RowFilter(), "row").tolist() == list(range(len(rows)))


def test_conditions_hold_together(analysis: Analysis) -> None:
    drama = parse_slice(analysis, "GENRE=drama")
    assert drama == ("genre", "Drama")
    both = select_rows(analysis, RowFilter(bucket="fixed", slices=(drama,)))
    assert set(both) == set(select_rows(analysis, RowFilter(bucket="fixed"))) & set(
        select_rows(analysis, RowFilter(slices=(drama,)))
    )
    assert len(both)


def test_search_looks_into_candidates_and_histories_without_case(analysis: Analysis) -> None:
    rows = select_rows(analysis, RowFilter(search="<SCRIPT>"))
    assert 0 < len(rows) < len(analysis.table)
    for row in rows:
        question = analysis.question(row)
        assert HOSTILE_TITLES[0] in (question.candidate, *question.titles)


def test_search_finds_a_film_by_both_orders_of_its_title(tmp_path: Path) -> None:
    invented = invent_comparison(tmp_path, users=8, films=30)
    path = invented.folder.predictions
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[1]["candidate_title"], records[2]["history_titles"][0] = "Avventura, L' (1960)", "Topo, El (1970)"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    found = load_analysis(invented.folder.root)
    for words, rows in (("avventura, l'", [1]), ("L'AVVENTURA (1960)", [1]), ("el topo", [2]), ("Topo, El (", [2])):
        assert select_rows(found, RowFilter(search=words)).tolist() == rows


def test_a_user_by_id(analysis: Analysis) -> None:
    rows = select_rows(analysis, RowFilter(user="3"))
    assert {analysis.question(row).user for row in rows} == {"3"}
    assert len(select_rows(analysis, RowFilter(user="nobody"))) == 0


@pytest.mark.parametrize("text", ["genre", "genre=Opera", "colour=red", "=", ""])
def test_an_unknown_slice_names_what_there_is(analysis: Analysis, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_slice(analysis, text)
    assert "genre" in error.value.next_step or "Drama" in error.value.next_step


def test_an_example_has_its_form(analysis: Analysis) -> None:
    found = analysis.example(0)
    assert found["candidate_title"]
    assert len(found["history_titles"]) == len(found["history_ratings"]) == 5
    long = {"instruction": "Judge.", "input": "x" * 900, "label": "Yes", "base": score(1, 1), "adapter": score(1, 1)}
    asked = question_of(long)
    assert asked.text == "x" * 300
    rendered = {"input": "Rated films:\n1. Heat (1995): 4.5\nCandidate film: Ran (1985)\nWill it?"}
    assert question_of(rendered).candidate == "Ran (1985)"


def request(invented: Invented, **wanted: object) -> AnalyzeRequest:
    return AnalyzeRequest(invented.folder.root, **wanted)  # type: ignore[arg-type]


def test_the_recipe_counts_examples_and_writes_the_page(invented: Invented) -> None:
    found = analyze(request(invented, bucket="broken", show_examples=3), SILENT)
    assert found["matched"] == found["buckets"]["broken"] > 3
    assert [each["bucket"] for each in found["examples"]] == ["broken"] * 3
    assert Path(found["report"]).stat().st_size > 10_000
    assert found["base"]["accuracy"] == 1.0
    assert found["adapter"]["accuracy"] == 0.0


def test_nothing_fits_and_nothing_crashes(invented: Invented, capsys: pytest.CaptureFixture[str]) -> None:
    found = analyze(request(invented, search="no such film anywhere"), SILENT)
    assert (found["matched"], found["examples"]) == (0, [])
    show_analysis(found, filtered=True)
    assert "No row fits" in capsys.readouterr().out


def test_exports_hold_the_selection(tmp_path: Path) -> None:
    invented = invent_comparison(tmp_path, users=8, films=30)
    found = analyze(request(invented, bucket="fixed", export="csv"), SILENT)
    with Path(found["export"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["matched"]
    assert {row["bucket"] for row in rows} == {"fixed"}
    found = analyze(request(invented, export="jsonl"), SILENT)
    lines = [json.loads(line) for line in Path(found["export"]).read_text().splitlines()]
    assert len(lines) == found["samples"]


def test_a_title_that_a_spreadsheet_would_run_is_made_text(tmp_path: Path) -> None:
    invented = invent_comparison(tmp_path, users=8, films=30)
    for path in (invented.folder.predictions,):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[0]["candidate_title"] = '=HYPERLINK("http://evil")'
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = analyze(request(invented, sort="row", export="csv"), SILENT)
    with Path(found["export"]).open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["candidate_title"] == '\'=HYPERLINK("http://evil")'


def test_where_texts_were_generated_the_answers_read_from_them_are_shown(
    invented: Invented, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores say otherwise in both answers; titles of two cells a character are cut by cells."""
    record = json.loads(invented.folder.predictions.read_text().partition("\n")[0])
    record |= {"candidate_title": "映画" * 30, "user_id": "u", "label": "Yes"}
    record["base"] |= {"log_odds": 2.0, "text": "I cannot say", "prediction": None}
    record["adapter"] |= {"log_odds": 2.0, "text": "No.", "prediction": "No"}
    path = tmp_path / "predictions.jsonl"
    path.write_text(f"{json.dumps(record)}\n")
    rows = first_rows(path, 3, Roles())
    assert [rows[0][model]["prediction"] for model in ("base", "adapter")] == [None, "No"]
    show_comparison(json.loads(invented.folder.comparison.read_text()) | {"output_dir": None}, rows, verbose=True)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "映画" in line]
    assert re.fullmatch(r"(映画)+映? *… +u +Yes +– \.88 +No \.88", line.strip())
    assert cell_len(line) <= 80


def test_pages_fit_80_columns_and_show_titles_as_written(
    invented: Invented, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = json.loads(invented.folder.comparison.read_text()) | {"output_dir": "output/x"}
    show_comparison(comparison, first_rows(invented.folder.predictions, 300, Roles()), verbose=True)
    printed = capsys.readouterr().out
    assert "History's like-share" in printed
    for title in HOSTILE_TITLES:
        assert " ".join(title.split())[:30] in printed
    assert [line for line in printed.splitlines() if len(line) > 80 and not line.startswith("next  ")] == []
    show_analysis(analyze(request(invented, search="[bold]film[/bold]", show_examples=4), SILENT), filtered=True)
    show_analysis(analyze(request(invented, show_examples=0), SILENT), filtered=False)
    printed = capsys.readouterr().out
    assert "[bold]film[/bold]" in printed
    paths = ("page  ", "exported  ", "next  ")
    too_wide = [line for line in printed.splitlines() if len(line) > 80 and not line.startswith(paths)]
    assert too_wide == []


def test_the_verdict_and_the_next_command_are_last_on_one_screen(
    invented: Invented, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = json.loads(invented.folder.comparison.read_text()) | {"output_dir": "output/my run"}
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    show_comparison(comparison, first_rows(invented.folder.predictions, 10, Roles()))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 27
    verdict, command = lines[-4:-1], lines[-1]
    assert " ".join(" ".join(verdict).split()).endswith(" ".join(comparison["verdict"].split()[-12:]))
    assert command == "next  movielora report 'output/my run' --open"
    printed = "\n".join(lines)
    best = comparison["models"]["baselines"][comparison["data"]["best_baseline"]]["name"]
    assert best[:22] in printed
    baselines = [entry["name"] for entry in comparison["models"]["baselines"].values()]
    hidden = [name for name in baselines if name[:22] not in printed]
    assert f"{len(hidden)} more baselines with --verbose" in printed
    more = len(data_warnings(comparison)) - 3
    assert f"{more} more remarks, calibration, slices and sample rows with --verbose" in printed
    for detail in ("is it liked?", "fitted on the eval split", "Holm", "McNemar"):
        assert detail not in printed
    show_comparison(comparison, first_rows(invented.folder.predictions, 10, Roles()), verbose=True)
    printed = capsys.readouterr().out
    for detail in ("is it liked?", "fitted on the eval split", "Holm", "McNemar", *(name[:22] for name in baselines)):
        assert detail in printed
    assert printed.splitlines()[-1] == command
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.4 50022 192.0.2.7 22")
    show_comparison(comparison)
    assert capsys.readouterr().out.splitlines()[-1] == "next  movielora report 'output/my run' --serve"


def test_the_best_figure_of_a_column_is_marked(invented: Invented, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = json.loads(invented.folder.comparison.read_text())
    show_comparison(comparison)
    printed = capsys.readouterr().out
    rivals = [comparison["models"]["base"], comparison["models"]["adapter"]]
    rivals += comparison["models"]["baselines"].values()
    best = min(entry["log_loss"] for entry in rivals)
    assert f"{best:.3f}".removeprefix("0") + "*" in printed


def damaged(invented: Invented, tmp_path: Path) -> ComparisonFolder:
    shutil.copytree(invented.folder.root, tmp_path / "c")
    return ComparisonFolder(tmp_path / "c")


def test_unfinished_and_inconsistent_folders_are_refused_in_a_sentence(invented: Invented, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        load_analysis(tmp_path / "nowhere")
    folder = damaged(invented, tmp_path)
    lines = folder.predictions.read_text().splitlines(keepends=True)
    folder.predictions.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match="they are of two comparisons"):
        load_analysis(folder.root)
    folder.rows.write_text("{}")
    with pytest.raises(DataError):
        load_analysis(folder.root)
    folder.comparison.write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        load_analysis(folder.root)
    folder.comparison.unlink()
    folder.rows.unlink()
    with pytest.raises(DataError, match="holds an interrupted comparison") as error:
        load_analysis(folder.root)
    assert "continues where it was" in error.value.next_step
