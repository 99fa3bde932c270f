"""What a training leaves, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movielora.config import ResolvedConfig, resolve_config
from movielora.dataset.find import find_dataset
from movielora.errors import DataError, ModelError, OutputError, RequestError
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
    with pytest.raises(ModelError, match="neither a folder nor a Hugging Face name"):
        train_run(TrainRequest(resolved), SILENT)


@pytest.mark.parametrize(
    "mistake",
    [{"lora_target": "nonsense"}, {"lora_target": "q_norm"}, {"cutoff_len": 150}, {"model_name_or_path": "no/where"}],
)
def test_an_overwriting_that_is_refused_costs_nothing(
    trained: Any, tiny_config: Callable[..., ResolvedConfig], tmp_path: Path, mistake: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[1].run_dir, run, ignore=shutil.ignore_patterns(".lock"))
    before = {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RequestError):
        train_run(TrainRequest(tiny_config(output_dir=run, **mistake), mode="overwrite"), SILENT)
    after = {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    after.pop(Path(".lock"), None)
    assert after == before


def test_a_killed_overwriting_gives_the_run_back(
    trained: Any, tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    """Killed while loading: the next word about the folder is again about the finished run."""
    run = tmp_path / "run"
    shutil.copytree(trained[1].run_dir, run, ignore=shutil.ignore_patterns(".lock"))
    weights = (run / "adapter_model.safetensors").read_bytes()
    code = (
        "import os, sys; from pathlib import Path; from movielora.runs.session import RunSession\n"
        "kept = RunSession.open(Path(sys.argv[1]), argv=[], config={}, config_yaml='', mode='overwrite'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run)], check=False).returncode == 9
    assert not (run / "adapter_model.safetensors").exists()
    with pytest.raises(OutputError, match="finished run"):
        train_run(TrainRequest(tiny_config(output_dir=run)), SILENT)
    assert (run / "adapter_model.safetensors").read_bytes() == weights


def test_an_overwriting_that_trains_leaves_nothing_of_the_old_run(
    trained: Any, tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[1].run_dir, run, ignore=shutil.ignore_patterns(".lock"))
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    result = train_run(TrainRequest(tiny_config(output_dir=run, max_steps=4, eval_steps=4), mode="overwrite"), SILENT)
    assert result.global_step == 4
    assert sorted(path.name for path in run.glob("checkpoint-*")) == ["checkpoint-4"]
    assert not (run / ".replaced").exists()
    assert (run / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_bad_data_leaves_no_run_behind(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"input": "x", "output": "Maybe"}\n', encoding="utf-8")
    run = tmp_path / "run"
    with pytest.raises(DataError, match=r"bad\.jsonl line 1"):
        train_run(TrainRequest(tiny_config(train_file=bad, eval_file=bad, output_dir=run)), SILENT)
    assert [path.name for path in run.iterdir() if path.name != ".lock"] == []


def test_without_load_best_the_last_adapter_is_saved_and_nothing_is_said(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    heard: list[str] = []
    listener = _Listener(heard)
    resolved = tiny_config(output_dir=tmp_path / "run", load_best_model_at_end=False, metric_for_best_model="recall")
    result = train_run(TrainRequest(resolved), listener)
    assert result.best_checkpoint is None
    assert not [text for text in heard if "saved adapter" in text]
    last = (tmp_path / "run" / "checkpoint-30" / "adapter_model.safetensors").read_bytes()
    assert (tmp_path / "run" / "adapter_model.safetensors").read_bytes() == last


def test_the_saved_config_works_from_another_folder(
    trained: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset found beside the config, not in the working directory, is found by the run's own config too."""
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    shutil.copytree(tiny_data, project / "data")
    config = project / "configs" / "c.yaml"
    config.write_text((Path(__file__).parents[2] / "configs" / "tiny_cpu.yaml").read_text(encoding="utf-8"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resolved = resolve_config(config)
    saved = tmp_path / "elsewhere" / "output" / "run" / "config.yaml"
    saved.parent.mkdir(parents=True)
    saved.write_text(resolved.to_yaml(), encoding="utf-8")
    assert find_dataset(resolve_config(saved)) == find_dataset(resolved)


def test_a_tilde_is_the_home_in_every_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    values = resolve_config(None, ["output_dir=~/runs/x", "preprocessing_cache_dir=~/c"]).values
    assert values.output_dir == str(tmp_path / "runs" / "x")
    assert values.preprocessing_cache_dir == str(tmp_path / "c")


class _Listener:
    """A reporter that keeps what it is warned of."""

    def __init__(self, heard: list[str]) -> None:
        self.warn = heard.append
        self.note, self.phase = SILENT.note, SILENT.phase


def test_a_distributed_launcher_is_refused(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="one process"):
        train_run(TrainRequest(tiny_config(output_dir=tmp_path / "run")), SILENT)


def test_a_lora_target_the_base_has_not_is_named(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(lora_target="q_proj,qkv", output_dir=tmp_path / "run")
    with pytest.raises(ModelError, match="qkv"):
        train_run(TrainRequest(resolved), SILENT)


def test_too_many_cut_rows_stop_the_training(tiny_config: Callable[..., ResolvedConfig], tmp_path: Path) -> None:
    resolved = tiny_config(cutoff_len=150, output_dir=tmp_path / "run")
    with pytest.raises(DataError, match=r"lost history to `cutoff_len: 150`"):
        train_run(TrainRequest(resolved), SILENT)


def test_cut_rows_train_all_the_same_where_that_is_allowed(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path
) -> None:
    said: list[str] = []

    class Ears:
        phase, note, warn = SILENT.phase, SILENT.note, said.append

    resolved = tiny_config(cutoff_len=150, allow_truncation=True, max_steps=2, output_dir=tmp_path / "run")
    assert train_run(TrainRequest(resolved), Ears()).global_step == 2
    assert any("lost history to `cutoff_len: 150`" in line for line in said)


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


@pytest.mark.parametrize(
    "settings",
    [
        {"loss_plateau_patience": 3, "loss_plateau_min_delta": 100.0, "early_stopping_patience": "null"},
        {"early_stopping_patience": 3, "eval_steps": 1, "learning_rate": 1e-12},
    ],
    ids=["loss", "evaluations"],
)
def test_without_gain_it_stops_early_at_a_checkpoint(
    tiny_config: Callable[..., ResolvedConfig], tmp_path: Path, settings: dict[str, Any]
) -> None:
    """The first of each is a gain by definition; three more show none."""
    result = train_run(TrainRequest(tiny_config(output_dir=tmp_path / "run", **settings)), SILENT)
    assert (result.state, result.global_step) == ("finished", 4)
    assert (result.run_dir / "checkpoint-4" / "trainer_state.json").is_file()
