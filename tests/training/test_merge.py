"""`movielora merge`: the merged folder loads without PEFT and answers as base and adapter did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.cli import main
from movielora.errors import OutputError
from movielora.progress import SILENT
from movielora.publishing.merge import MergeRequest, merge


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["merge", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_the_merged_model_answers_as_before(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, result = trained
    target = tmp_path / "merged"
    code, out, err = _run(capsys, str(result.run_dir), "--output-dir", str(target), "--rows", "40", "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["dtype"] == "bfloat16"
    assert answer["bytes"] == (target / "model.safetensors").stat().st_size
    change = answer["change"]
    assert 0 < change["rows"] <= 40
    assert change["mean_absolute"] < 0.1  # what rounding the weights to bf16 costs
    assert change["decisions_changed"] <= 2


def test_the_merged_folder_is_a_plain_model(trained: Any, tmp_path: Path) -> None:
    """Plain transformers, no PEFT; its weights are base + scale · B A, summed here in fp64."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from movielora.model.base import find_base

    resolved, result = trained
    target = tmp_path / "merged"
    merge(MergeRequest(result.run_dir, target, rows=4), SILENT)
    model = AutoModelForCausalLM.from_pretrained(target)
    assert AutoTokenizer.from_pretrained(target).chat_template
    assert not any("lora" in name for name, _ in model.named_parameters())

    cache = Path(resolved.values.preprocessing_cache_dir).parent
    base = load_file(Path(find_base("tiny", cache, Path("tiny"))) / "model.safetensors")
    adapter = load_file(result.run_dir / "adapter_model.safetensors")
    scale = resolved.values.lora_alpha / resolved.values.lora_rank
    name = "model.layers.1.mlp.down_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{part}.weight"].double() for part in "AB")
    expected = base[f"{name}.weight"].double() + scale * b @ a
    merged = model.get_parameter(f"{name}.weight")
    assert merged.dtype == torch.bfloat16
    np.testing.assert_allclose(merged.detach().double(), expected, rtol=2**-8, atol=1e-6)


def test_an_occupied_folder_is_left_alone(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty") as caught:
        merge(MergeRequest(trained[1].run_dir, tmp_path), SILENT)
    assert caught.value.next_step
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_data_that_has_gone_does_not_hinder_the_merge(trained: Any, tmp_path: Path) -> None:
    """The run's own config, with a dataset that is nowhere."""
    _, result = trained
    run = tmp_path / "run"
    run.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(result.run_dir / name, run / name)
    text = (result.run_dir / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("dataset: ", "dataset: gone_"), encoding="utf-8")
    warned: list[str] = []

    class Listening:
        phase, note, warn = SILENT.phase, SILENT.note, staticmethod(warned.append)

    merged = merge(MergeRequest(run, tmp_path / "merged"), Listening())
    assert merged.change is None
    assert any("--test-file" in text for text in warned)


def test_a_run_with_a_gpus_kernels_is_merged_without_a_gpu(trained: Any, tmp_path: Path) -> None:
    _, result = trained
    run = tmp_path / "run"
    run.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json", "config.yaml", "run.json"):
        shutil.copy(result.run_dir / name, run / name)
    text = (run / "config.yaml").read_text(encoding="utf-8")
    assert "flash_attn: auto\n" in text
    assert "enable_liger_kernel: false\n" in text
    text = text.replace("flash_attn: auto\n", "flash_attn: flash_attention_2\n")
    (run / "config.yaml").write_text(
        text.replace("enable_liger_kernel: false\n", "enable_liger_kernel: true\n"), encoding="utf-8"
    )
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["placement"] |= {"attention": "flash_attention_2", "liger": True}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    warned: list[str] = []

    class Listening:
        phase, note, warn = SILENT.phase, SILENT.note, staticmethod(warned.append)

    assert merge(MergeRequest(run, tmp_path / "merged", rows=4), Listening()).change
    (said,) = warned
    assert said.startswith(f"{run} was trained with flash_attention_2 attention and Liger's kernels and is scored")


def test_a_folder_without_an_adapter_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, str(tmp_path), "--output-dir", str(tmp_path / "merged"))
    assert (code, out) == (2, "")
    assert "adapter_config.json" in err
