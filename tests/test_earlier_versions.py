"""What the previous version made still works: its datasets, runs and comparisons (`tests/fixtures/*_v1`)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder as the previous version left it: `data/small`, and the finished run `output/small`."""
    shutil.copytree(FIXTURES / "dataset_v1", tmp_path / "data")
    shutil.copytree(FIXTURES / "run_v1", tmp_path / "output" / "small")
    return tmp_path


def movielora(place: Path, *words: str, code: int = 0) -> Any:
    command = [sys.executable, "-m", "movielora", *words, "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == code, done.stderr[-2000:]
    return json.loads(done.stdout) if code == 0 else done.stderr


def test_its_dataset_is_audited_as_records(place: Path) -> None:
    found = movielora(place, "audit", "--config", "output/small/config.yaml")
    assert found["samples"] == 112  # meta.json counts them


def test_its_run_is_shown(place: Path) -> None:
    found = movielora(place, "status", "output/small")
    assert (found["state"], found["step"]) == ("finished", 6)


def test_its_run_is_resumed_with_a_word_about_the_prompt(place: Path) -> None:
    words = ["train", "--config", "output/small/config.yaml", "--resume", "--set", "max_steps=8"]
    command = [sys.executable, "-m", "movielora", *words, "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["global_step"] == 8
    assert "checkpoint-6 is of an earlier movielora: whether its prompt is the same is not checked" in done.stderr
    assert json.loads((place / "output/small/prompt.json").read_text(encoding="utf-8"))["schema"] == 1


def test_its_adapter_is_compared_and_scores_as_it_did(place: Path) -> None:
    """Log-odds of the previous version, row by row, from the comparison it made."""
    movielora(place, "compare", "output/small")
    now, then = (
        [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (place / "output/small/comparison", FIXTURES / "comparison_v1")
    )
    assert len(now) == len(then) == 28
    for one, two in zip(now, then, strict=True):
        for model in ("base", "adapter"):
            assert one[model]["log_odds"] == pytest.approx(
                two[model]["log_odds"], abs=1e-4
            )  # batches of other sizes round otherwise
