"""`compare` on a real adapter: both record forms, interruption, refusals."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare_request import compare_request
from movielora.cli import main
from movielora.config import ResolvedConfig
from movielora.errors import DataError, ModelError, OutputError
from movielora.evaluation.comparison.compare import compare
from movielora.evaluation.comparison.request import CompareRequest
from movielora.progress import SILENT


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def request_for(trained: Any, tmp_path: Path) -> Callable[..., CompareRequest]:
    def make(**options: Any) -> CompareRequest:
        asked = {"output_dir": tmp_path / "comparison", "max_samples": 40, **options}
        return compare_request(asked.pop("resolved", trained[0]), **asked)

    return make


def test_a_comparison_says_what_the_contract_says(request_for: Callable[..., CompareRequest], tmp_path: Path) -> None:
    found = compare(request_for(), SILENT)
    figures = {"accuracy", "precision", "recall", "f1", "auc", "log_loss", "answer_mass"}
    assert found["samples"] == 40
    assert figures <= found["base"].keys()
    assert figures <= found["adapter"].keys()
    assert sum(found["buckets"].values()) == 40
    assert found["output_dir"] == str(tmp_path / "comparison")
    rows = _rows(tmp_path / "comparison")
    numbers = [row["row"] for row in rows]
    assert numbers == sorted(set(numbers))  # a sample over users, in the file's order
    assert len({row["user_id"] for row in rows}) == 40
    assert {"log_odds", "p_yes", "answer_mass", "prediction"} <= rows[0]["adapter"].keys()
    assert {"user_id", "candidate_title", "history_titles", "label"} <= rows[0].keys()


def test_the_test_form_scores_as_the_training_form(
    request_for: Callable[..., CompareRequest], tiny_data: Path, tmp_path: Path
) -> None:
    """The same questions in both record forms, mixed in one file."""
    from movielora.prompt.render import render_input
    from movielora.prompt.spec import INSTRUCTION, SYSTEM

    raw = [json.loads(line) for line in (tiny_data / "synthetic" / "test_raw.jsonl").read_text().splitlines()][:12]
    other = [
        {
            "instruction": INSTRUCTION,
            "input": render_input(row["history_titles"], row["history_ratings"], row["candidate_title"]),
            "output": row["label"],
            "system": SYSTEM,
            "history": [],
        }
        for row in raw
    ]
    mixed = tmp_path / "mixed.json"
    mixed.write_text(json.dumps([row for pair in zip(raw, other, strict=True) for row in pair]), encoding="utf-8")
    compare(request_for(test_file=mixed, max_samples=None), SILENT)
    rows = _rows(tmp_path / "comparison")
    for test_form, training_form in zip(rows[::2], rows[1::2], strict=True):
        assert test_form["adapter"]["log_odds"] == pytest.approx(training_form["adapter"]["log_odds"], abs=1e-5)
        assert "history_titles" in test_form
        assert "input" in training_form


def test_an_interrupted_comparison_goes_on_where_it_was(
    trained: Any, request_for: Callable[..., CompareRequest], tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    small_chunks = {"output_dir": trained[1].run_dir, "inference.chunk_size": 8}
    whole = request_for(resolved=tiny_config(**small_chunks), output_dir=tmp_path / "whole")
    compare(whole, SILENT)
    torn = request_for(resolved=tiny_config(**small_chunks), output_dir=tmp_path / "torn")
    compare(torn, SILENT)
    predictions = tmp_path / "torn" / "predictions.jsonl"
    content = predictions.read_bytes()
    predictions.write_bytes(content[: int(len(content) * 0.6)])  # killed in the middle of a line
    (tmp_path / "torn" / "comparison.json").unlink()
    written = tmp_path / "torn" / ".written.json"  # a hash is listed at the end
    written.write_text(json.dumps(json.loads(written.read_text()) | {"predictions.jsonl": []}))

    compare(torn, SILENT)
    assert predictions.read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()


def test_other_inputs_do_not_mix_into_a_folder(request_for: Callable[..., CompareRequest], tmp_path: Path) -> None:
    compare(request_for(), SILENT)
    before = (tmp_path / "comparison" / "predictions.jsonl").read_bytes()
    with pytest.raises(OutputError, match="system_prompt"):
        compare(request_for(system_prompt="Say Yes or No."), SILENT)
    assert (tmp_path / "comparison" / "predictions.jsonl").read_bytes() == before
    compare(request_for(system_prompt="Say Yes or No.", overwrite=True), SILENT)
    assert (tmp_path / "comparison" / "predictions.jsonl").read_bytes() != before


def test_an_adapter_of_another_base_is_one_sentence(
    trained: Any, request_for: Callable[..., CompareRequest], tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from movielora.model.lora import base_of_adapter

    base = base_of_adapter(trained[1].run_dir)
    config = AutoConfig.from_pretrained(base)
    config.hidden_size = 32
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "narrow")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "narrow")
    narrow = tiny_config(output_dir=trained[1].run_dir, model_name_or_path=tmp_path / "narrow")
    with pytest.raises(ModelError, match="does not fit the base"):
        compare(request_for(resolved=narrow), SILENT)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("adapter_config.json", "holds no adapter_config.json"), ("adapter_model.safetensors", "holds no adapter_model")],
)
def test_an_incomplete_adapter_is_named(
    trained: Any, request_for: Callable[..., CompareRequest], tmp_path: Path, missing: str, said: str
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(trained[1].run_dir, adapter, ignore=shutil.ignore_patterns("checkpoint-*", "logs"))
    (adapter / missing).unlink()
    with pytest.raises(ModelError, match=said):
        compare(request_for(adapter=adapter), SILENT)


def test_a_torn_adapter_is_one_sentence(
    trained: Any, request_for: Callable[..., CompareRequest], tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(trained[1].run_dir, adapter, ignore=shutil.ignore_patterns("checkpoint-*", "logs"))
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        compare(request_for(adapter=adapter), SILENT)


def test_no_rows_is_an_error(request_for: Callable[..., CompareRequest], tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="is empty"):
        compare(request_for(test_file=empty), SILENT)


@pytest.mark.parametrize(("shown", "heading"), [(3, "3 rows, of many users"), (0, ""), (99, "12 rows, of many users")])
def test_examples_are_shown_as_asked_and_never_in_json(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: int, heading: str
) -> None:
    words = ["compare", str(trained[1].run_dir), "--output-dir", str(tmp_path / "c"), "--max-samples", "12"]
    words += ["--config", str(trained[1].run_dir / "config.yaml"), "--set", f"inference.show_examples={shown}"]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--verbose"])
    page = capsys.readouterr().out
    assert page.count("is it liked?") == bool(shown)
    assert heading in page
    answer = re.compile(r" (Yes|No) +(Yes|No) (1?\.\d\d|1\.00) +(Yes|No) (1?\.\d\d|1\.00)$", re.MULTILINE)
    found = answer.findall(page)
    rows = _rows(tmp_path / "c")[:shown]
    assert [(label, base, adapter) for label, base, _, adapter, _ in found] == [
        (row["label"], row["base"]["prediction"], row["adapter"]["prediction"]) for row in rows
    ]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--json"])
    assert "examples" not in json.loads(capsys.readouterr().out)
