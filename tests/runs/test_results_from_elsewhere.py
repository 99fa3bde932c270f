"""`compare`, `merge`, `analyze` and `report` of a run by its name, from a folder that it was not trained in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from movielora.runs.lookup.index import remember
from tiny_training import Workplace


@pytest.fixture
def away(workplace: Workplace, tmp_path: Path) -> Path:
    """Another folder, from where the run `calm` of the workplace is known by its name."""
    remember(workplace.folder / "output" / "calm", pytest.fail)
    folder = tmp_path / "away"
    folder.mkdir()
    return folder


def movielora(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "movielora", *words], cwd=folder, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip


def compared(folder: Path, *words: str) -> dict[str, object]:
    done = movielora(folder, "compare", *words, "--max-samples", "20", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compare_by_name_reads_the_data_of_the_folder_it_was_trained_in(
    workplace: Workplace, away: Path, tmp_path: Path
) -> None:
    """The same figures as from that folder, by name and by the run's own config; nothing is made here but the result.

    A decoy of the dataset under the same relative path must not be read.
    """
    decoy = away / "data" / "d"
    decoy.mkdir(parents=True)
    (decoy / "train.json").write_text("[]")
    (decoy / "test_raw.jsonl").write_text("")
    there = compared(workplace.folder, "calm", "--output-dir", str(tmp_path / "there"))
    here = compared(away, "calm", "--output-dir", "here")
    config = str(workplace.folder / "output" / "calm" / "config.yaml")
    by_config = compared(away, "--config", config, "--output-dir", "by-config")
    for figures in ("base", "adapter", "samples", "verdict", "models"):
        assert here[figures] == there[figures] == by_config[figures]
    assert sorted(path.name for path in away.iterdir()) == ["by-config", "data", "here"]


def test_set_changes_the_runs_own_config_and_its_paths_are_seen_from_here(workplace: Workplace, away: Path) -> None:
    rows = (workplace.folder / "data" / "d" / "test_raw.jsonl").read_text().splitlines()[:3]
    (away / "three.jsonl").write_text("\n".join(rows) + "\n")
    words = ["calm", "--set", "inference.test_file=three.jsonl", "--output-dir", "three"]
    assert compared(away, *words)["samples"] == 3
    words = ["calm", "--set", "inference.max_samples=5", "--output-dir", "five", "--json"]
    done = movielora(away, "compare", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 5


def test_other_commands_read_a_runs_own_config_as_it_was_meant(workplace: Workplace, away: Path) -> None:
    config = str(workplace.folder / "output" / "calm" / "config.yaml")
    audit = movielora(away, "audit", "--config", config, "--json")
    assert audit.returncode == 0, audit.stderr
    assert json.loads(audit.stdout)["samples"] > 0
    assert movielora(away, "fit", "--config", config).returncode == 0
    assert list(away.iterdir()) == []


def test_merge_by_name_scores_the_rows_of_the_runs_dataset(workplace: Workplace, away: Path) -> None:
    done = movielora(away, "merge", "calm", "--output-dir", "merged", "--rows", "10", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["change"]["rows"] == 10
    assert sorted(path.name for path in away.iterdir()) == ["merged"]


def test_a_comparison_is_read_by_its_runs_name(workplace: Workplace, away: Path) -> None:
    run = workplace.folder / "output" / "calm"
    for command in ("analyze", "report"):
        none = movielora(away, command, "calm")
        assert none.returncode == 2
        assert f"the run {run} holds no comparison yet" in none.stderr
        assert f"movielora compare {run}" in none.stderr
    try:
        compared(away, "calm")
        report = movielora(away, "report", "calm")
        assert report.returncode == 0, report.stderr
        assert report.stdout.strip() == str(run / "comparison" / "report.html")
        assert json.loads(movielora(away, "analyze", "calm", "--json").stdout)["samples"] == 20
        assert movielora(away, "report", str(run / "comparison")).stdout == report.stdout
        shutil.copytree(run / "comparison", run / "second one")
        for command in ("analyze", "report"):
            several = movielora(away, command, "calm")
            assert several.returncode == 2
            assert f"{run} holds 2 comparisons: {run}/comparison, '{run}/second one'" in several.stderr
            assert f"movielora {command} {run}/comparison" in several.stderr
    finally:
        for name in ("comparison", "second one"):
            shutil.rmtree(run / name, ignore_errors=True)


def test_a_missing_run_is_exit_3_and_an_empty_name_exit_2(workplace: Workplace, away: Path) -> None:
    for command in (["compare"], ["merge", "--output-dir", "m"], ["analyze"], ["report"]):
        done = movielora(away, *command, "nobody")
        assert (done.returncode, done.stdout) == (3, "")
        assert "there is no run 'nobody'" in done.stderr
        assert movielora(away, *command, " ").returncode == 2


def test_a_run_whose_training_folder_is_gone_is_read_from_here(workplace: Workplace, tmp_path: Path) -> None:
    """A run folder that was copied to another machine: its relative paths can only be meant from the working folder."""
    run = tmp_path / "output" / "calm"
    shutil.copytree(workplace.folder / "output" / "calm", run)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "cwd": str(tmp_path / "gone")}))
    (tmp_path / "data").symlink_to(workplace.folder / "data")
    assert compared(tmp_path, "calm")["samples"] == 20
    assert not (tmp_path / "gone").exists()
