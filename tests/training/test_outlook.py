"""What a training costs, said before it starts, compared with a training that was done."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.console.outlook_view import format_about
from movielora.model.estimates.memory import find_shape, setup_here
from movielora.training.outlook import SHOWN_GPUS, look_ahead, on_shown_gpus, usual_work
from tiny_training import Workplace, make_workplace

CONFIGS = Path(__file__).parents[2] / "configs"


def outlook(place: Workplace, *words: str) -> dict[str, Any]:
    done = place.run("train", "--config", "tiny.yaml", "--dry-run", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["outlook"]


def bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_the_time_is_estimated_first_and_then_that_of_an_earlier_run(tmp_path: Path) -> None:
    place = make_workplace(tmp_path)
    before = outlook(place)
    assert before["seconds_measured"] is False
    assert before["seconds_from"].startswith("estimated")
    # 40 examples, 2 × 2 a step, 4 epochs; an evaluation every 7 steps
    assert (before["steps"], before["evaluations"], before["examples"]) == (40, 5, 40)
    assert place.run(*place.train("first")).returncode == 0
    after = outlook(place)
    assert after["seconds_measured"] is True
    assert "measured by the run first-" in after["seconds_from"]
    rate = json.loads((tmp_path / "output/first/heartbeat.json").read_text())["examples_per_second"]
    assert after["step_seconds"] == pytest.approx(4 / rate)
    assert after["seconds"] == pytest.approx((160 + 5 * 16 / 2) / 4 * after["step_seconds"])
    assert after["lost_seconds"] == pytest.approx(5 * after["step_seconds"])
    # Of other data the tokens count, which are estimated from characters.
    tokens = json.loads((tmp_path / "output/first/heartbeat.json").read_text())["tokens_per_second"]
    other = outlook(place, "--set", "cutoff_len=512")
    assert other["step_seconds"] == pytest.approx(4 * other["tokens_per_example"] / tokens)
    assert other["tokens_per_example"] == pytest.approx(tokens / rate, rel=0.4)
    # In another folder the same words mean other data: the run is found, and its tokens count.
    elsewhere = outlook(make_workplace(tmp_path / "elsewhere"))
    assert elsewhere["seconds_measured"] is True
    assert elsewhere["step_seconds"] == pytest.approx(4 * elsewhere["tokens_per_example"] / tokens)
    # A run with other settings, or on another machine, says nothing of this one.
    assert outlook(place, "--set", "lora_target=qv")["seconds_measured"] is False
    assert outlook(place, "--set", "per_device_train_batch_size=4")["seconds_measured"] is False
    record = tmp_path / "output/first/run.json"
    record.write_text(record.read_text().replace(json.dumps(socket.gethostname()), '"another-machine"'))
    assert outlook(place)["seconds_measured"] is False
    # A checkpoint is as large as was said.
    checkpoints = sorted((tmp_path / "output/first").glob("checkpoint-*"))
    assert len(checkpoints) == before["checkpoints"] - 1 == 2
    assert bytes_of(checkpoints[0]) == pytest.approx(before["checkpoint_bytes"], rel=0.15)


def test_a_plan_for_data_that_is_not_there_says_so() -> None:
    config = resolve_config(None, ["use_qlora=false"])
    work = usual_work(config.values)
    found = look_ahead(config, work, find_shape(config), setup_here(config.values, []), [])
    assert found.to_json()["data_assumed"] is True
    assert (found.work.examples, found.steps) == (78_271, 14_676)


@pytest.mark.parametrize("name", ["qwen3_movielens_qlora.yaml", "qwen3_movielens_lora_bf16.yaml"])
def test_the_shipped_configs_lose_half_an_hour_at_most(name: str) -> None:
    """On each card of the table, at the estimated rate, evaluation included."""
    resolved = resolve_config(CONFIGS / name)
    config, work = resolved.values, usual_work(resolved.values)
    for hardware, seconds in on_shown_gpus(config, work, find_shape(resolved)):
        a_step = seconds / 14_676
        assert max(config.save_steps, config.eval_steps) * a_step <= 30 * 60, hardware.name
    assert len(SHOWN_GPUS) == 5


def test_a_crash_that_would_cost_more_than_half_an_hour_is_told() -> None:
    config = resolve_config(None, ["use_qlora=false", "bf16=false", "save_steps=4000"])
    found = look_ahead(config, usual_work(config.values), find_shape(config), setup_here(config.values, []), [])
    assert found.wise_save_steps is not None
    assert found.wise_save_steps * found.duration.step_seconds <= 1800 < found.lost_seconds
    assert (found.wise_save_steps + 1) * found.duration.step_seconds > 1800
    often = resolve_config(None, ["use_qlora=false", f"save_steps={found.wise_save_steps}", "bf16=false"])
    again = look_ahead(often, usual_work(often.values), find_shape(often), setup_here(often.values, []), [])
    assert again.wise_save_steps is None


def test_the_documented_times_are_the_estimated_ones() -> None:
    page = (CONFIGS.parent / "docs/gpu.md").read_text(encoding="utf-8")
    resolved = resolve_config(CONFIGS / "qwen3_movielens_lora_bf16.yaml")
    config = resolved.values
    for hardware, seconds in on_shown_gpus(config, usual_work(config), find_shape(resolved)):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {hardware.name}, ")]
        assert row.split("|")[-2].strip() == format_about(seconds)


def test_no_model_and_no_network_is_a_problem_of_the_plan(tmp_path: Path) -> None:
    place = make_workplace(tmp_path)
    words = ("train", "--config", "tiny.yaml", "--set", "model_name_or_path=Qwen/Qwen3-0.6B")
    way_out = "hf download Qwen/Qwen3-0.6B --local-dir models/Qwen3-0.6B"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    refused = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf"), "https_proxy": "http://127.0.0.1:9"}
    for network in (offline, refused):
        done = place.run(*words, "--dry-run", **network)
        assert done.returncode == 2, done.stderr
        assert done.stdout.startswith("train on ")
        assert "1.5 GB of Qwen/Qwen3-0.6B" in done.stdout
        assert "cannot be fetched" in done.stderr
        assert way_out in done.stderr
        assert "--set model_name_or_path=models/Qwen3-0.6B" in done.stderr
        real = place.run(*words, **network)
        assert real.returncode == 2, real.stderr
        assert way_out in real.stderr
        assert "Loading libraries" not in real.stderr
        assert not (tmp_path / "output").exists()
    asked = place.run(*words, "--dry-run", "--json", **offline)
    assert (asked.returncode, "outlook" in asked.stdout) == (2, False)
    unknown = place.run(*words[:-1], "model_name_or_path=nobody/nothing", "--dry-run", **offline)
    assert unknown.returncode == 2
    assert "hf download nobody/nothing" in unknown.stderr


def test_compare_without_the_base_is_refused_before_libraries_load(tmp_path: Path) -> None:
    place = make_workplace(tmp_path)
    run = tmp_path / "output" / "r"
    run.mkdir(parents=True)
    (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "Qwen/Qwen3-0.6B"}))
    (run / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (run / "config.yaml").write_text(
        "model_name_or_path: Qwen/Qwen3-0.6B\ntrain_file: data/d/train.json\noutput_dir: output/r\n"
    )
    done = place.run("compare", "output/r", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    assert done.returncode == 2, done.stderr
    assert "hf download Qwen/Qwen3-0.6B --local-dir models/Qwen3-0.6B" in done.stderr
    assert not (run / "comparison").exists()
