"""An adapter is asked in the prompt that it was trained with: in its own evaluation, and by what asks it later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare_request import compare_request
from movielora.config import ResolvedConfig
from movielora.dataset.options import PrepareOptions
from movielora.errors import ConfigError
from movielora.evaluation.comparison.compare import compare
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.training.train import TrainRequest, train_run

ROWS = 30


def run(resolved: ResolvedConfig) -> Any:
    return train_run(TrainRequest(resolved, argv=("movielora", "train")), SILENT)


def scores(folder: Path, column: str) -> list[float]:
    rows = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(row)[column]["log_odds"] for row in rows]


@pytest.fixture(scope="module")
def shorter(tiny_config: Callable[..., ResolvedConfig], tmp_path_factory: pytest.TempPathFactory) -> ResolvedConfig:
    """A finished run that shows 2 of the dataset's 4 films, in an instruction of its own."""
    folder = tmp_path_factory.mktemp("shorter")
    resolved = tiny_config(
        output_dir=folder / "shorter", prompt_history_len=2, instruction="Judge.", max_steps=4, eval_steps=2
    )
    run(resolved)
    return resolved


def test_the_run_and_its_checkpoints_bring_their_prompt(shorter: ResolvedConfig) -> None:
    root = Path(shorter.values.output_dir)
    for folder in (root, *root.glob("checkpoint-*")):
        spec = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
        assert (spec["history_len"], spec["instruction"]) == (2, "Judge.")


def test_training_evaluates_a_dataset_that_was_prepared_otherwise_in_its_own_prompt(
    tiny_config: Callable[..., ResolvedConfig], tiny_data: Path, tmp_path: Path
) -> None:
    """Evaluation rows of a dataset with other histories show what the training's rows show; `compare` says the same."""
    other = tmp_path / "data" / "other"
    prepare(tiny_data.parent / "ratings", other, PrepareOptions(history_len=8), SILENT)
    resolved = tiny_config(
        output_dir=tmp_path / "run", max_steps=4, eval_steps=2, eval_file=other / "eval.json", max_eval_samples="null"
    )
    trained = run(resolved)
    request = compare_request(resolved, test_file=other / "eval.json", output_dir=tmp_path / "c", calibrate=False)
    compared = compare(request, SILENT)
    assert compared["prompt"]["history_len"] == 4
    assert trained.metrics["eval_log_loss"] == pytest.approx(compared["adapter"]["log_loss"], abs=1e-5)


@pytest.mark.parametrize("key", ["prompt_history_len=3", "system_prompt=Say Yes.", "instruction=Guess."])
def test_a_prompt_that_the_adapter_was_not_trained_with_is_refused(
    shorter: ResolvedConfig, tmp_path: Path, key: str
) -> None:
    from movielora.config import resolve_config

    resolved = resolve_config(Path(shorter.values.output_dir) / "config.yaml", [key])
    with pytest.raises(ConfigError) as refused:
        compare(compare_request(resolved, output_dir=tmp_path / "c", max_samples=ROWS), SILENT)
    assert key.split("=")[0] in refused.value.message
    assert "prompt.json" in refused.value.message
    assert not (tmp_path / "c").exists()


def test_two_runs_are_asked_as_each_is_by_itself(trained: Any, shorter: ResolvedConfig, tmp_path: Path) -> None:
    """One shows 4 films and one 2, in either order; and one of an earlier version, which has no prompt.json."""
    longer, short = Path(trained[1].run_dir), Path(shorter.values.output_dir)
    old = tmp_path / "old"
    shutil.copytree(longer, old, ignore=shutil.ignore_patterns("comparison*", "checkpoint-*"))
    (old / "prompt.json").unlink()
    alone = {}
    for folder in (longer, short, old):
        output = tmp_path / f"{folder.name}-alone"
        compare(compare_request(None, runs=(folder,), output_dir=output, max_samples=ROWS, calibrate=False), SILENT)
        alone[folder.name] = scores(output, "adapter")
    assert alone[longer.name] == alone["old"] != alone[short.name]
    for one, two in ((longer, short), (short, longer), (old, short), (short, old)):
        output = tmp_path / f"{one.name}-{two.name}"
        compare(compare_request(None, runs=(one, two), output_dir=output, max_samples=ROWS, calibrate=False), SILENT)
        assert scores(output, one.name) == alone[one.name]
        assert scores(output, two.name) == alone[two.name]
