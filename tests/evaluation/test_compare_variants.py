"""Compare external scores without a config: no model is loaded, the strongest baseline is the reference."""

import json
from pathlib import Path

import pytest

from compare_request import compare_request
from movielora.console.results.compare_view import show_comparison
from movielora.errors import ConfigError, DataError, OutputError
from movielora.evaluation.comparison.compare import compare, examples_to_show
from movielora.evaluation.comparison.request import CompareRequest
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.report.payload import page_data
from movielora.evaluation.saved.analysis import load_analysis
from movielora.progress import SILENT
from synthetic_comparison import invent_dataset


@pytest.fixture
def files(tmp_path: Path) -> SplitFiles:
    return invent_dataset(tmp_path, users=20, films=40)


def write_scores(path: Path, files: SplitFiles, sure: float) -> Path:
    """A system that is right with P = `sure` in every row."""
    labels = [json.loads(line)["label"] for line in files.test.read_text().splitlines()]
    rows = [{"label": label, "probability": sure if label == "Yes" else 1 - sure} for label in labels]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def request(files: SplitFiles, scores: Path, **changes: object) -> CompareRequest:
    return compare_request(None, test_file=files.test, predictions=scores, **changes)


def test_external_scores_meet_the_strongest_baseline(
    files: SplitFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare(request(files, write_scores(tmp_path / "oracle.jsonl", files, 0.9)), SILENT)
    assert found["roles"] == {"reference": found["data"]["best_baseline"], "candidate": "oracle"}
    assert found["models"]["others"]["oracle"]["auc"] == 1.0
    assert found["models"]["others"]["oracle"]["name"] == "oracle"
    best = found["models"]["baselines"][found["data"]["best_baseline"]]
    gain = found["difference"]["candidate_minus_reference"]["auc"]["value"]
    assert gain == pytest.approx(1.0 - best["auc"], abs=1e-6)
    assert found["difference"]["candidate_minus_best_baseline"] == found["difference"]["candidate_minus_reference"]
    assert "base" not in found
    assert not {"base", "adapter"} & found["models"].keys()
    assert found["verdict"].startswith("oracle beats the strongest simple baseline, the ")
    assert found["verdict_detail"]["outcome"] == "earns_its_keep"
    analysis = load_analysis(tmp_path / "oracle-comparison")
    assert len(analysis.table) == found["samples"]
    assert set(analysis.table.columns) == {found["data"]["best_baseline"], "oracle"}
    page = page_data(analysis)
    assert [model["key"] for model in page["models"] if model["role"] == "reference"] == [
        found["data"]["best_baseline"]
    ]
    assert not any(model["best"] for model in page["models"])  # it is the reference already, and drawn as that
    show_comparison(found, examples_to_show(request(files, tmp_path / "oracle.jsonl"), found), verbose=True)
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if len(line) > 80 and not line.startswith("next  ")] == []
    assert "oracle minus" in printed


def test_the_folder_is_kept_for_the_same_scores_only(files: SplitFiles, tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "oracle.jsonl", files, 0.9)
    first = compare(request(files, scores), SILENT)
    again = compare(request(files, scores), SILENT)
    first.pop("provenance"), again.pop("provenance")
    assert first == again
    write_scores(scores, files, 0.2)
    with pytest.raises(OutputError, match="predictions changed"):
        compare(request(files, scores), SILENT)
    assert compare(request(files, scores, overwrite=True), SILENT)["models"]["others"]["oracle"]["auc"] == 0.0


def test_what_is_missing_is_one_sentence(files: SplitFiles, tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "oracle.jsonl", files, 0.9)
    with pytest.raises(ConfigError, match="compare needs a config"):
        compare(compare_request(None), SILENT)
    with pytest.raises(ConfigError, match="compare needs a config"):
        compare(compare_request(None, predictions=scores), SILENT)
    with pytest.raises(ConfigError, match="one run, or two"):
        compare(compare_request(None, runs=(tmp_path, tmp_path, tmp_path)), SILENT)
    with pytest.raises(ConfigError, match="compare needs a config"):
        compare_request(None, predictions=scores, test_file=files.test, controls=True)
    with pytest.raises(ConfigError, match=r"holds no config\.yaml"):
        compare(compare_request(None, runs=(tmp_path,)), SILENT)
    files.test.write_text("[]")
    with pytest.raises(DataError, match="holds"):
        compare(request(files, scores), SILENT)


@pytest.mark.parametrize("name", ["predictions.jsonl", "comparison.json", "rows.json", "made_from.json", "run_a.jsonl"])
def test_overwriting_keeps_what_movielora_did_not_write(files: SplitFiles, tmp_path: Path, name: str) -> None:
    scores = write_scores(tmp_path / "oracle.jsonl", files, 0.9)
    folder = tmp_path / "oracle-comparison"
    compare(request(files, scores), SILENT)
    place = folder / name
    kept = place.read_text() if place.exists() else (folder / "predictions.jsonl").read_text()
    edited = f"{kept} \n"
    place.write_text(edited)
    write_scores(scores, files, 0.2)
    with pytest.raises(OutputError, match=name):
        compare(request(files, scores, overwrite=True), SILENT)
    assert place.read_text() == edited
    place.unlink()
    assert compare(request(files, scores, overwrite=True), SILENT)["models"]["others"]["oracle"]["auc"] == 0.0
    assert not (folder / ".overwriting").exists()
    # A comparison whose file was deleted, not replaced, is made again.
    (folder / "predictions.jsonl").unlink()
    compare(request(files, scores), SILENT)
