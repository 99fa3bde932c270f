"""`movielora demo`, small: every step in order, each a command that could be given alone, and one JSON object."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from movielora import cli
from movielora.commands.demo import _steps
from movielora.sources import synthetic

STEPS = ["prepare", "audit", "train", "compare", "analyze"]
CONFIG = """\
model_name_or_path: tiny
bf16: false
use_qlora: false
dataset: synthetic_train
per_device_train_batch_size: 8
max_steps: 6
eval_steps: 3
save_steps: 3
logging_steps: 1
max_eval_samples: 16
report_to: none
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose config trains for seconds, and a smaller world of films."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tiny_cpu.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    real = synthetic.write_synthetic_movielens
    small = synthetic.SyntheticSize(users=30, films=80, least_ratings=14, mean_ratings=20)
    monkeypatch.setattr(synthetic, "write_synthetic_movielens", lambda folder: real(folder, small))
    return tmp_path


def test_the_whole_road_as_one_json_object(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--json"])
    said = capsys.readouterr()
    assert not ended.value.code, said.err[-2000:]
    found = json.loads(said.out)
    assert list(found) == STEPS
    assert found["train"]["global_step"] == 6
    assert found["compare"]["samples"] == found["analyze"]["samples"] > 0
    assert found["audit"]["unit"] == "tokens"
    shown = re.findall(r"^  \$ movielora (.+)$", said.err, flags=re.MULTILINE)
    assert [shlex.split(line)[0] for line in shown] == STEPS
    assert re.findall(r"^■ (.+?)  ", said.err, flags=re.MULTILINE) == ["make ratings", *STEPS]
    assert (place / "output" / "demo" / "adapter_model.safetensors").is_file()
    assert (place / "output" / "demo" / "comparison" / "comparison.json").is_file()


def test_each_step_is_a_command_that_typer_takes() -> None:
    """Options are checked by the commands themselves, nothing runs."""
    for _, (name, *arguments) in _steps("configs/tiny_cpu.yaml"):
        cli.load_command(name).make_context(name, arguments)


def test_without_the_clone_it_says_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("movielora.config.ready_made.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo"])
    assert ended.value.code == 2
    assert "run movielora demo in a clone of the repository" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
