"""QLoRA on the CPU through the recipe: it trains, resumes, saves, reloads on both bases, and compares."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.cli import main
from movielora.config import ResolvedConfig
from movielora.model.base import Placement, find_base, load_base
from movielora.progress import SILENT, Reporter

STEPS = 8


@pytest.fixture(scope="module")
def qlora(tiny_config: Callable[..., ResolvedConfig], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished QLoRA training: (resolved config, result, warnings)."""
    from movielora.training.train import TrainRequest, train_run

    warned: list[str] = []

    class Listening:
        phase, note = SILENT.phase, SILENT.note

        @staticmethod
        def warn(text: str) -> None:
            warned.append(text)

    listener: Reporter = Listening()
    folder = tmp_path_factory.mktemp("qlora") / "run"
    resolved = tiny_config(use_qlora=True, max_steps=STEPS, eval_steps=4, save_steps=4, output_dir=folder)
    return resolved, train_run(TrainRequest(resolved), listener), warned


def _rows(run_dir: Path, key: str) -> dict[int, float]:
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["step"]: row[key] for row in map(json.loads, lines) if key in row}


def test_it_trains_in_four_bit_and_says_what_that_costs(qlora: Any) -> None:
    _, result, warned = qlora
    losses = _rows(result.run_dir, "loss")
    assert len(losses) == STEPS
    assert min(list(losses.values())[-3:]) < losses[1]
    record = json.loads((result.run_dir / "run.json").read_text(encoding="utf-8"))
    assert record["placement"]["quantized"] is True
    assert "sdpa" in record["placement"]["attention_reason"]
    assert any("4-bit weights on the CPU" in text for text in warned)


def test_it_resumes_with_the_losses_it_would_have_had(qlora: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from movielora.training.train import TrainRequest, train_run

    resolved, result, _ = qlora
    copy = Path(shutil.copytree(result.run_dir, tmp_path / "run"))
    shutil.rmtree(copy / f"checkpoint-{STEPS}")
    values = resolved.values.model_copy(update={"output_dir": str(copy)})
    train_run(TrainRequest(replace(resolved, values=values), mode="resume", checkpoint=copy / "checkpoint-4"), SILENT)
    expected, found = _rows(result.run_dir, "loss"), _rows(copy, "loss")
    for step in range(5, STEPS + 1):
        assert found[step] == pytest.approx(expected[step], rel=1e-5), step
    assert _rows(copy, "eval_loss")[STEPS] == pytest.approx(_rows(result.run_dir, "eval_loss")[STEPS], rel=1e-5)


def _score(resolved: ResolvedConfig, run_dir: Path, *, quantized: bool) -> Any:
    """Log-odds of the eval rows with the saved adapter, loaded by plain PEFT."""
    from peft import PeftModel

    from movielora.dataset.find import find_dataset
    from movielora.examples.importers.records import read_records
    from movielora.model.tokenizer import load_tokenizer
    from movielora.prompt.template import PromptTemplate
    from movielora.prompt.text_tokens import tokenize_records
    from movielora.scoring.answer_position import score

    cache = Path(resolved.values.preprocessing_cache_dir).parent
    base = find_base("tiny", cache, Path("tiny"))
    tokenizer = load_tokenizer(base)
    model = load_base(base, Placement("cpu", "bfloat16", quantized=quantized, attention="sdpa"))
    model = PeftModel.from_pretrained(model, run_dir).eval()
    records = list(read_records(find_dataset(resolved).evaluation))[:64]
    examples = tokenize_records(
        records, PromptTemplate(tokenizer), tokenizer, cutoff_len=512, reporter=SILENT, name="rows"
    )
    return score(model, examples, np.arange(len(records)), batch_size=16)[0].log_odds


def test_the_saved_adapter_loads_with_plain_peft_on_either_base(qlora: Any) -> None:
    resolved, result, _ = qlora
    packed, plain = (_score(resolved, result.run_dir, quantized=quantized) for quantized in (True, False))
    assert np.isfinite(packed).all()
    assert np.isfinite(plain).all()
    # The same adapter on slightly other weights: near, and not the same.
    assert 0 < np.abs(packed - plain).mean() < 1.0
    assert np.corrcoef(packed, plain)[0, 1] > 0.7


@pytest.mark.parametrize("precision", ["4bit", "16bit"])
def test_compare_prints_what_the_bases_precision_changes(
    qlora: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    _, result, _ = qlora
    words = ["compare", str(result.run_dir), "--base-precision", precision, "--max-samples", "48", "--no-calibrate"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--output-dir", str(tmp_path / "comparison"), "--json"])
    captured = capsys.readouterr()
    assert not ended.value.code, captured.err
    change = json.loads(captured.out)["base_precision"]
    assert (change["precision"], change["against"]) == (precision, "16bit" if precision == "4bit" else "4bit")
    assert 0 < change["rows"] <= 48
    assert 0 < change["mean_absolute"] <= change["largest_absolute"] < 3
    saved = json.loads((tmp_path / "comparison" / "comparison.json").read_text(encoding="utf-8"))
    assert saved["base_precision"] == change
