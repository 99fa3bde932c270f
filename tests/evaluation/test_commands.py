"""`analyze` and `report` from the command line: one JSON object, exit codes, one sentence for a mistake."""

import json
from pathlib import Path

import pytest

from movielora.cli import main
from synthetic_comparison import Invented


def run(*words: str) -> int:
    try:
        main(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_analyze_prints_one_json_object(invented: Invented, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--bucket", "fixed", "--slice", "genre=Drama", "--show-examples", "1", "--json"]
    assert run("analyze", str(invented.folder.root), *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["matched"] == found["buckets"]["fixed"] > 0
    assert len(found["examples"]) == 1
    assert Path(found["report"]).is_file()


def test_report_prints_the_page(invented: Invented, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", str(invented.folder.root)) == 0
    assert capsys.readouterr().out.strip() == str(invented.folder.report)


@pytest.mark.parametrize("command", ["analyze", "report"])
def test_a_wrong_folder_is_one_sentence(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, str(tmp_path)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "holds no finished comparison" in said.err
    assert "Traceback" not in said.err


def test_an_unknown_slice_is_one_sentence(invented: Invented, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("analyze", str(invented.folder.root), "--slice", "genre=Opera") == 2
    assert "Drama" in capsys.readouterr().err
