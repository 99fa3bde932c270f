"""`compare` on real adapters: asked differently, two runs together, a file of scores beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare_request import compare_request
from movielora.errors import ModelError
from movielora.evaluation.comparison.compare import compare
from movielora.evaluation.comparison.request import CompareRequest
from movielora.progress import SILENT


@pytest.fixture
def request_for(trained: Any, tmp_path: Path) -> Callable[..., CompareRequest]:
    return lambda **options: compare_request(
        trained[0], **{"output_dir": tmp_path / "comparison", "max_samples": 24, **options}
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_controls_ask_the_adapter_differently(request_for: Callable[..., CompareRequest], tmp_path: Path) -> None:
    found = compare(request_for(controls=True, calibrate=False), SILENT)
    assert set(found["models"]["controls"]) == {"history_shuffled", "candidate_alone"}
    assert set(found["difference"]["candidate_minus_controls"]) == {"history_shuffled", "candidate_alone"}
    assert found["calibration"]["fitted_on"] is None
    rows = _rows(tmp_path / "comparison")
    scores = {name: [row[name]["log_odds"] for row in rows] for name in ("adapter", "history_shuffled")}
    assert scores["adapter"] != scores["history_shuffled"]
    # One question without a history: the same film is answered alike, whoever asks.
    by_film: dict[str, set[float]] = {}
    for row in rows:
        by_film.setdefault(row["candidate_title"], set()).add(round(row["candidate_alone"]["log_odds"], 4))
    assert all(len(answers) == 1 for answers in by_film.values())


def test_a_run_with_itself_differs_by_nothing(
    trained: Any, request_for: Callable[..., CompareRequest], tmp_path: Path
) -> None:
    run = Path(trained[1].run_dir)
    twin = tmp_path / "twin"
    shutil.copytree(run, twin, ignore=shutil.ignore_patterns("checkpoint-*", "comparison*"))
    found = compare(request_for(runs=(run, twin)), SILENT)
    assert found["difference"]["candidate_minus_reference"]["auc"]["value"] == 0.0
    assert found["buckets"]["fixed"] == found["buckets"]["broken"] == 0
    assert found["roles"] == {"reference": run.name, "candidate": "twin"}
    assert {key: entry["name"] for key, entry in found["models"]["runs"].items()} == {
        run.name: run.name,
        "twin": "twin",
    }
    assert found["calibration"]["fitted_on"] == "eval"


def test_each_of_two_runs_is_asked_with_its_own_prompt(
    trained: Any, request_for: Callable[..., CompareRequest], tmp_path: Path
) -> None:
    run = Path(trained[1].run_dir)
    twin = tmp_path / "twin"
    shutil.copytree(run, twin, ignore=shutil.ignore_patterns("checkpoint-*", "comparison*"))
    spec = json.loads((twin / "prompt.json").read_text(encoding="utf-8"))
    (twin / "prompt.json").write_text(json.dumps(spec | {"instruction": "Judge."}), encoding="utf-8")
    # The words of a prompt that was edited by hand are not those of the training.
    found = compare(request_for(runs=(run, twin), calibrate=False, as_they_are=True), SILENT)
    rows = _rows(tmp_path / "comparison")
    assert [row[run.name]["log_odds"] for row in rows] != [row["twin"]["log_odds"] for row in rows]
    assert found["prompt"]["instruction"] == "Judge."
    by_itself = compare(request_for(runs=(run,), calibrate=False, output_dir=tmp_path / "one"), SILENT)
    assert found["models"]["runs"][run.name]["auc"] == by_itself["adapter"]["auc"]


def test_runs_of_different_bases_are_refused(
    trained: Any, request_for: Callable[..., CompareRequest], tmp_path: Path
) -> None:
    run = Path(trained[1].run_dir)
    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("checkpoint-*", "comparison*"))
    facts = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(facts | {"base_model_name_or_path": "Qwen/Qwen3-0.6B"}))
    with pytest.raises(ModelError, match="different bases"):
        compare(request_for(runs=(run, other)), SILENT)


def test_external_scores_stand_beside_base_and_adapter(
    request_for: Callable[..., CompareRequest], tmp_path: Path
) -> None:
    compare(request_for(), SILENT)
    scores = tmp_path / "recsys.jsonl"
    lines = [
        {"row": row["row"], "label": row["label"], "log_odds": row["adapter"]["log_odds"]}
        for row in _rows(tmp_path / "comparison")
    ]
    scores.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = compare(request_for(predictions=scores), SILENT)
    assert found["models"]["others"]["recsys"]["auc"] == found["models"]["adapter"]["auc"]
    assert found["difference"]["candidate_minus_others"]["recsys"]["auc"]["value"] == 0.0
