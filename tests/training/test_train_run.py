"""What a training leaves, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movielora.config import ResolvedConfig, resolve_config
from movielora.errors import DataError, ModelError, OutputError
from movielora.progress import SILENT
from movielora.training.train import TrainRequest, planned_steps, train_run


def test_the_run_folder_is_as_the_contract_says(trained: Any) -> None:
    resolved, result = trained
    run = result.run_dir
    for name in ("run.json", "heartbeat.json", "metrics.jsonl", "config.yaml", "adapter_model.safetensors"):
        assert (run / name).is_file(), name
    assert (run / "adapter_config.json").is_file()
    assert (run / "tokenizer.json").is_file()
    assert list((run / "logs").glob("events.out.tfevents.*"))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["ended"]["state"] == "finished"
    assert record["config"]["learning_rate"] == resolved.values.learning_rate
    assert not list(run.glob(".checkpoint*"))


def test_metrics_hold_every_log_and_every_evaluation(trained: Any) -> None:
    rows = [json.loads(line) for line in (trained[1].run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 31))
    evaluations = [row for row in rows if "eval_auc" in row]
    assert [row["step"] for row in evaluations] == [10, 20, 30]
    wanted = {"eval_loss", "eval_accuracy", "eval_f1", "eval_precision", "eval_recall", "eval_auc", "eval_log_loss"}
    assert all(wanted | {"eval_answer_mass", "time", "epoch"} <= row.keys() for row in evaluations)


def test_the_resolved_config_trains_again(trained: Any, tmp_path: Path) -> None:
    resolved, result = trained
    again = resolve_config(result.run_dir / "config.yaml")
    assert again.values == resolved.values


def test_the_best_evaluation_is_the_adapter_that_was_saved(trained: Any) -> None:
    _, result = trained
    rows = [json.loads(line) for line in (result.run_dir / "metrics.jsonl").read_text().splitlines()]
    best = max((row for row in rows if "eval_auc" in row), key=lambda row: row["eval_auc"])
    assert result.best_checkpoint is not None
    assert result.best_checkpoint.name == f"checkpoint-{best['step']}"
    for name in ("accuracy", "f1", "auc", "log_loss", "loss"):
        assert result.metrics[f"eval_{name}"] == pytest.approx(best[f"eval_{name}"], abs=1e-5), name
    saved = (result.run_dir / "adapter_model.safetensors").read_bytes()
    assert saved == (result.best_checkpoint / "adapter_model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_adapter(
    trained: Any, tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    second = train_run(TrainRequest(tiny_config(output_dir=tmp_path / "again")), SILENT)
    first = trained[1].run_dir / "adapter_model.safetensors"
    assert first.read_bytes() == (second.run_dir / "adapter_model.safetensors").read_bytes()


def test_a_finished_run_is_not_overwritten_without_a_word(trained: Any) -> None:
    resolved, result = trained
    before = (result.run_dir / "adapter_model.safetensors").read_bytes()
    with pytest.raises(OutputError, match="run"):
        train_run(TrainRequest(resolved), SILENT)
    assert (result.run_dir / "adapter_model.safetensors").read_bytes() == before


def test_a_base_that_is_nowhere_is_one_sentence(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(model_name_or_path=tmp_path / "nothing-here", output_dir=tmp_path / "run")
    with pytest.raises(ModelError, match="neither a model folder nor reachable"):
        train_run(TrainRequest(resolved), SILENT)


def test_a_distributed_launcher_is_refused(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ModelError, match="one process"):
        train_run(TrainRequest(tiny_config(output_dir=tmp_path / "run")), SILENT)


def test_a_lora_target_the_base_has_not_is_named(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(lora_target="q_proj,qkv", output_dir=tmp_path / "run")
    with pytest.raises(ModelError, match="qkv"):
        train_run(TrainRequest(resolved), SILENT)


def test_too_many_cut_rows_stop_the_training(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(cutoff_len=150, output_dir=tmp_path / "run")
    with pytest.raises(DataError, match=r"lost history to `cutoff_len: 150`"):
        train_run(TrainRequest(resolved), SILENT)


def test_missing_data_leaves_no_folder_behind(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(train_file=tmp_path / "none.json", output_dir=tmp_path / "run")
    with pytest.raises(DataError, match=r"none\.json"):
        train_run(TrainRequest(resolved), SILENT)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "examples", "steps"),
    [
        (["per_device_train_batch_size=2", "gradient_accumulation_steps=8", "num_train_epochs=3"], 78_271, 14_676),
        (["per_device_train_batch_size=4", "gradient_accumulation_steps=1", "num_train_epochs=1"], 10, 3),
        (["per_device_train_batch_size=4", "gradient_accumulation_steps=2", "num_train_epochs=0.5"], 17, 2),
        (["max_steps=7"], 1_000, 7),
    ],
)
def test_planned_steps(overrides: list[str], examples: int, steps: int) -> None:
    # 78,271 rows: 39,136 micro-batches of 2, 4,892 steps of 8 an epoch, three epochs.
    assert planned_steps(resolve_config(None, overrides).values, examples) == steps


def test_planned_steps_are_what_the_trainer_counts(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(
        output_dir=tmp_path / "run",
        max_steps=-1,
        max_samples=45,
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=3,
        max_eval_samples=5,
    )
    result = train_run(TrainRequest(resolved), SILENT)
    assert result.global_step == planned_steps(resolved.values, 45)
