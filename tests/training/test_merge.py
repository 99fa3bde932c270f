"""`movielora merge`: the merged folder loads without PEFT and answers as base and adapter did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_adapters import lora, make_adapter
from movielora.cli import main
from movielora.console.results.merge_view import show_merged
from movielora.errors import ModelError, OutputError
from movielora.progress import SILENT
from movielora.prompt.spec import read_prompt_file, write_prompt_file
from movielora.publishing.merge import Merged, MergeRequest, merge


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
    assert answer["bytes"] == sum(path.stat().st_size for path in target.iterdir())
    assert answer["bytes"] > (target / "model.safetensors").stat().st_size
    change = answer["change"]
    assert 0 < change["rows"] <= 40
    assert change["mean_absolute"] < 0.1  # what rounding the weights to bf16 costs
    assert change["decisions_changed"] <= 2


def test_the_size_and_what_to_do_next_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my films"
    show_merged(Merged(folder, "Qwen/Qwen3-0.6B", 1_203_456_789, None))
    said = capsys.readouterr().out
    assert f"{folder}: 1.2 GB on disk in bf16" in said
    assert f"vllm serve '{folder}'" in said
    assert f"python convert_hf_to_gguf.py '{folder}' --outfile '{folder}-bf16.gguf' --outtype bf16" in said
    show_merged(Merged(folder, str(tmp_path / "cache" / "tiny-base-0123abcd"), 345_678, None))
    said = capsys.readouterr().out
    assert "346 kB on disk" in said
    assert "vllm serve" not in said


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


def _start_merge(run: Path, target: Path, *, limit_bytes: int = -1) -> subprocess.Popen[str]:
    """`movielora merge` as a process of its own, which can write no file of more than `limit_bytes`."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes},) * 2)\n"
        "from movielora.cli import main; main()"
    )
    words = ["merge", str(run), "--output-dir", str(target), "--rows", "4"]
    return subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True)


def test_a_killed_merge_leaves_no_model_and_the_same_command_works_again(trained: Any, tmp_path: Path) -> None:
    run, target = trained[1].run_dir, tmp_path / "place" / "merged"
    with _start_merge(run, target) as process:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("place/.merged.partial-*/model.safetensors")) and time.monotonic() < until:
            time.sleep(0.001)
        process.kill()
    (left,) = target.parent.iterdir()
    assert left.name.startswith(".merged.partial-")
    merge(MergeRequest(run, target, rows=4), SILENT)
    assert [path.name for path in target.parent.iterdir()] == ["merged"]


def test_a_merge_that_fails_leaves_nothing(trained: Any, tmp_path: Path) -> None:
    target = tmp_path / "place" / "merged"
    with _start_merge(trained[1].run_dir, target, limit_bytes=50_000) as process:
        _, said = process.communicate(timeout=240)
    assert process.returncode == 2
    assert f"{target} cannot be written" in said
    assert "Traceback" not in said
    assert list(target.parent.iterdir()) == []


def test_the_merged_folder_holds_the_adapters_prompt_and_is_open_to_others(trained: Any, tmp_path: Path) -> None:
    """An empty folder, and a link to one, are places to write to."""
    run = tmp_path / "run"
    shutil.copytree(trained[1].run_dir, run, ignore=shutil.ignore_patterns("checkpoint-*"))
    spec = read_prompt_file(run)
    assert spec is not None
    write_prompt_file(run, replace(spec, instruction="Judge.", replaces=("instruction",)))
    (tmp_path / "merged").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "merged")
    merge(MergeRequest(run, tmp_path / "link", rows=4), SILENT)
    merged = tmp_path / "merged"
    assert read_prompt_file(merged) == replace(spec, instruction="Judge.", replaces=("instruction",))
    assert not {".owner.json"} & {path.name for path in merged.iterdir()}
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain.txt").touch()
    assert merged.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert {path.name for path in merged.iterdir()} > {"model.safetensors", "config.json", "prompt.json"}
    for path in merged.iterdir():  # a server that runs as another user loads them
        assert path.stat().st_mode == (tmp_path / "plain.txt").stat().st_mode, path


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


def _bare_run(trained: Any, folder: Path, adapter: Path) -> Path:
    """The trained run's config beside another adapter."""
    for name in ("config.yaml", "prompt.json"):
        shutil.copy(trained[1].run_dir / name, folder / name)
    for path in adapter.iterdir():
        shutil.copy(path, folder / path.name)
    return folder


MERGED = {
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 32}},
    "one layer": {"layers_to_transform": [0]},
}


@pytest.mark.parametrize("options", MERGED.values(), ids=MERGED)
def test_adapters_of_other_kinds_merge_to_what_plain_peft_answers(
    trained: Any, tiny_base: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Compared with PEFT's adapter on the base, by their full logits; bf16 rounds the merged weights."""
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    run = tmp_path / "run"
    run.mkdir()
    adapter = make_adapter(tiny_base, tmp_path / "adapter", lora(**options))
    merge(MergeRequest(_bare_run(trained, run, adapter), tmp_path / "merged", rows=4), SILENT)
    ids = torch.arange(30).unsqueeze(0)
    with torch.inference_mode():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()(ids).logits
        base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
        without = base(ids).logits
        wanted = PeftModel.from_pretrained(base, adapter).eval()(ids).logits
    error, effect = (merged - wanted).abs().mean(), (without - wanted).abs().mean()
    assert error < 0.05 * effect
    assert LoraConfig.from_pretrained(adapter).to_dict().items() >= options.items()


def test_an_adapter_that_cannot_be_merged_is_refused_by_name(
    trained: Any, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    _bare_run(trained, run, make_adapter(tiny_base, tmp_path / "adapter", lora(lora_bias=True)))
    code, out, err = _run(capsys, str(run), "--output-dir", str(tmp_path / "merged"))
    assert (code, out) == (2, "")
    assert "`lora_bias: true`" in err
    assert "Traceback" not in err
    head = make_adapter(tiny_base, tmp_path / "head", lora(target_modules=["q_proj", "lm_head"]))
    code, out, err = _run(capsys, str(head), "--output-dir", str(tmp_path / "merged"))
    assert (code, out) == (2, "")
    assert "has weights of lm_head: " in " ".join(err.split())
    assert not (tmp_path / "merged").exists()


def test_merged_weights_that_are_not_the_adapters_are_refused(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT merges no layer of another form, without a word: as if ours were forgotten to be taken off."""
    monkeypatch.setattr("movielora.model.cpu.lora.unfuse_lora", lambda model: None)
    with pytest.raises(ModelError, match=r"are not the adapter's: logits differ by|PEFT cannot merge"):
        merge(MergeRequest(trained[1].run_dir, tmp_path / "merged", rows=4), SILENT)
    assert not (tmp_path / "merged").exists()


def test_answers_that_rounding_does_not_explain_are_refused(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movielora.publishing.merge._SUSPICIOUS", 1e-6)
    with pytest.raises(ModelError, match="the merged model answers differently: log-odds differ by"):
        merge(MergeRequest(trained[1].run_dir, tmp_path / "merged", rows=4), SILENT)
    assert not (tmp_path / "merged").exists()
