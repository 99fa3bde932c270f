"""`movielora train` from the command line: the dry run, and words that contradict each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import main
from movielora.dataset.options import PrepareOptions
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.runs.paths import RunPaths
from movielora.runs.session import RunSession
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens
from movielora.storage.lock import FolderLock


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command where a config and a dataset of invented ratings are; gives (exit code, stdout, stderr)."""
    write_synthetic_movielens(tmp_path / "raw", SyntheticSize(20, 60, 14, 20))
    prepare(tmp_path / "raw", tmp_path / "data" / "d", PrepareOptions(history_len=3), SILENT)
    (tmp_path / "c.yaml").write_text(
        "model_name_or_path: tiny\ndataset: d_train\noutput_dir: output/r\nlora_rank: 4\n"
        "template: qwen\nmax_samples: 20\nper_device_train_batch_size: 4\n"
        "gradient_accumulation_steps: 2\nnum_train_epochs: 2\n"
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["train", "--config", "c.yaml", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_a_dry_run_shows_values_with_their_origins_and_writes_nothing(train: Any, tmp_path: Path) -> None:
    before = everything(tmp_path)
    code, out, err = train("--dry-run", "--set", "learning_rate=1e-3")
    assert (code, err) == (0, "")
    assert everything(tmp_path) == before
    table = {line.split()[0]: line.split()[1:] for line in out.split("\n") if line.strip()}
    assert table["lora_rank"] == ["4", "file"]
    assert table["learning_rate"] == ["0.001", "--set"]
    assert table["lora_dropout"][-1] == "default"
    assert "`template: qwen` has no effect" in out
    # 20 of the examples, 4 × 2 a step: 2.5 steps an epoch, the half one counts, twice
    assert "steps      6 of 8 examples" in out
    assert "data/d/train.json: 20 examples" in out
    assert "Nothing was written." in out


def test_a_dry_run_as_json(train: Any, tmp_path: Path) -> None:
    before = everything(tmp_path)
    code, out, _ = train("--dry-run", "--json", "--set", "learning_rate=1e-3")
    plan = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert (plan["config"]["learning_rate"], plan["origins"]["learning_rate"]) == (0.001, "--set")
    assert (plan["steps"], plan["examples"], plan["effective_batch_size"]) == (6, 20, 8)
    assert plan["eval_file"] == "data/d/eval.json"
    assert everything(tmp_path) == before


def test_a_dry_run_finds_what_training_would_find(train: Any, tmp_path: Path) -> None:
    before = everything(tmp_path)
    code, _, err = train("--dry-run", "--set", "dataset=none")
    assert code == 2
    assert "dataset `none` is not there" in err
    assert everything(tmp_path) == before


def _finished(folder: Path) -> None:
    with RunSession.open(folder, argv=[], config={}, config_yaml="model_name_or_path: tiny\n"):
        pass


@pytest.mark.parametrize("plan", ["--dry-run", "--json"])
def test_a_dry_run_refuses_a_folder_as_the_training_would(train: Any, tmp_path: Path, plan: str) -> None:
    run = tmp_path / "output" / "r"
    words = ["--dry-run", plan]
    _finished(run)
    code, out, err = train(*words)
    assert code == 2
    assert "output/r holds the finished run" in err
    assert ("steps      6 of 8 examples" in out) == (plan == "--dry-run")  # the plan is shown all the same
    assert train(*words, "--overwrite")[0] == 0
    assert train(*words, "--resume")[0] == 0

    (run / "prompt.json").write_text("{}")
    before = everything(tmp_path)
    for more in ([], ["--overwrite"], ["--resume"]):
        code, _, err = train(*words, *more)
        assert code == 2
        assert "holds what no run of movielora wrote there, or what was changed since: prompt.json" in err
    assert everything(tmp_path) == before
    (run / "prompt.json").unlink()

    held = FolderLock.acquire(RunPaths(run).lock)
    assert held is not None
    code, _, err = train(*words, "--overwrite")
    held.release()
    assert code == 2
    assert "is alive in" in err


def test_a_dry_run_refuses_a_file_in_the_folders_place(train: Any, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("mine")
    before = everything(tmp_path)
    code, _, err = train("--dry-run")
    assert code == 2
    assert "output is a file, not a folder" in err
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume", "--overwrite"], "--resume continues a run and --overwrite replaces it"),
        (["--extra-epochs", "1"], "--extra-epochs continues a run that has ended"),
    ],
)
def test_words_that_contradict_each_other_are_refused(train: Any, tmp_path: Path, words: list[str], said: str) -> None:
    before = everything(tmp_path)
    code, out, err = train(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert everything(tmp_path) == before
