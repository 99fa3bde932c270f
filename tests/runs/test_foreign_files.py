"""What a run did not write is never touched: it is refused by its name, or it stays."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import OutputError, WorkError
from movielora.runs.checkpoint_staging import remove_leftovers, rotate, staged_checkpoint
from movielora.runs.folder import replaced
from movielora.runs.folder.written import WrittenByRun
from movielora.runs.paths import RunPaths
from movielora.runs.session import RunSession
from movielora.storage.atomic import read_json
from movielora.storage.process import host
from tiny_training import wait_for

RUN_V1 = Path(__file__).parents[1] / "fixtures" / "run_v1"
MINE = {"config.yaml": "model: mine\n", "README.md": "my project\n", "vocab.json": "{}\n", "train.log": "my log\n"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` and its bytes, the lock apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def open_session(folder: Path, mode: Any = "new", config_yaml: str = "metric_for_best_model: auc\n") -> RunSession:
    config = {"metric_for_best_model": "auc"}
    return RunSession.open(folder, argv=["movielora"], config=config, config_yaml=config_yaml, mode=mode)


def finished_run(folder: Path, *, adapter: str = "weights") -> RunPaths:
    with open_session(folder) as session:
        session.training_started()
        session.log_metrics({"step": 1, "loss": 1.0})
        for step in (2, 4):
            with staged_checkpoint(session.paths, step) as staging:
                (staging / "adapter_model.safetensors").write_text(adapter)
        with session.files() as staging:
            (staging / "adapter_model.safetensors").write_text(adapter)
            (staging / "tokenizer.json").write_text("{}")
    return session.paths


@pytest.mark.parametrize("mode", ["new", "overwrite", "resume"])
@pytest.mark.parametrize("detached", [False, True], ids=["foreground", "detached"])
def test_a_folder_with_files_of_others_is_refused_by_their_names(small, mode: str, detached: bool) -> None:
    folder = small.paths().root
    folder.mkdir(parents=True)
    for name, text in MINE.items():
        (folder / name).write_text(text)
    child = small.start("run", "--mode", mode, detached=detached)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 2
    assert "README.md, config.yaml, train.log, vocab.json" in said
    assert {path.name: path.read_text() for path in folder.iterdir()} == MINE  # no lock file either


@pytest.mark.parametrize("name", ["notes.txt", "data", "train.json"])
def test_any_file_or_folder_of_others_counts_where_no_run_was(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if name == "data" else (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=name):
        open_session(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_hidden_and_what_compare_left_there_does_not_count(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "comparison.json").write_text("{}")
    with open_session(tmp_path):
        pass
    assert {".gitkeep", "comparison/comparison.json"} < set(contents(tmp_path))


def test_a_lock_file_of_others_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("held by my own tool")
    with pytest.raises(OutputError, match=r"\.lock"):
        open_session(tmp_path)
    assert (tmp_path / ".lock").read_text() == "held by my own tool"


def test_overwriting_takes_the_run_and_leaves_the_rest(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    (paths.root / "notes.txt").write_text("mine")
    (paths.root / "README.md").write_text("about this run")
    with open_session(paths.root, "overwrite") as session:
        session.training_started()
    assert not paths.adapter_weights.exists()
    assert paths.checkpoints() == []
    assert (paths.root / "notes.txt").read_text() == "mine"
    assert (paths.root / "README.md").read_text() == "about this run"


@pytest.mark.parametrize(
    ("name", "mode", "refused"),
    [
        ("config.yaml", "overwrite", True),
        ("adapter_model.safetensors", "overwrite", True),
        ("tokenizer.json", "overwrite", True),
        ("prompt.json", "overwrite", True),  # this run wrote none
        ("vocab.json", "resume", True),
        ("metrics.jsonl", "overwrite", True),
        ("heartbeat.json", "overwrite", True),
        ("stop.json", "overwrite", True),
        ("train.log", "overwrite", True),
        ("checkpoint-7/model.bin", "overwrite", True),
        ("checkpoint-4/notes.txt", "overwrite", True),
        ("checkpoint-7/model.bin", "resume", False),
        ("logs", "overwrite", True),
        ("chat_history.jinja", "overwrite", False),
    ],
)
def test_a_file_of_others_in_a_run_folder(tmp_path: Path, name: str, mode: Any, refused: bool) -> None:
    paths = finished_run(tmp_path / "run")
    (paths.root / name).parent.mkdir(exist_ok=True)
    (paths.root / name).write_text("my own work")
    before = contents(paths.root)
    if refused:
        with pytest.raises(OutputError, match=name.removesuffix("/model.bin").replace(".", r"\.")):
            open_session(paths.root, mode)
        assert contents(paths.root) == before
    else:
        with open_session(paths.root, mode) as session:
            session.training_started()
    assert (paths.root / name).read_text() == "my own work"


def test_a_config_edited_in_the_folder_is_kept_by_a_resume(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    for number in (1, 2):
        paths.config.write_text(f"# my remark {number}\nmetric_for_best_model: f1\n")
        with open_session(paths.root, "resume", "metric_for_best_model: f1\n") as session:
            assert session.kept_config == f"config.edited-{number}.yaml"
        assert paths.config.read_text() == "metric_for_best_model: f1\n"
    assert "my remark 1" in (paths.root / "config.edited-1.yaml").read_text()
    with open_session(paths.root, "resume", "metric_for_best_model: f1\n") as session:
        assert session.kept_config == ""


def test_a_file_that_came_while_the_run_trained_is_not_replaced(tmp_path: Path) -> None:

    def train() -> None:
        with open_session(tmp_path / "run") as session:
            (session.paths.root / "tokenizer.json").write_text("mine")
            with session.files() as staging:
                (staging / "tokenizer.json").write_text("theirs")

    with pytest.raises(WorkError, match=r"tokenizer\.json"):
        train()
    assert (tmp_path / "run" / "tokenizer.json").read_text() == "mine"


def test_a_run_of_an_earlier_version_is_taken_as_far_as_it_can_be_proved(tmp_path: Path) -> None:
    """Its record lists no files: config, record and checkpoints agree on what is there."""
    shutil.copytree(RUN_V1, tmp_path / "run")
    paths = RunPaths(tmp_path / "run")
    assert WrittenByRun(paths).foreign() == []
    for name in ("adapter_config.json", "tokenizer.json", "config.yaml", "metrics.jsonl"):
        whole = (paths.root / name).read_bytes()
        (paths.root / name).write_bytes(whole + b"# mine\n")
        assert WrittenByRun(paths).foreign() == [name]
        (paths.root / name).write_bytes(whole)
    with open_session(paths.root, "overwrite") as session:
        session.training_started()
    assert set(contents(paths.root)) == {"run.json", "heartbeat.json", "config.yaml"}


def test_a_resumed_run_of_an_earlier_version_knows_its_files_afterwards(tmp_path: Path) -> None:
    shutil.copytree(RUN_V1, tmp_path / "run")
    paths = RunPaths(tmp_path / "run")
    with open_session(paths.root, "resume"):
        pass
    assert {"adapter_model.safetensors", "tokenizer.json"} < set(read_json(paths.record)["files"])
    assert WrittenByRun(paths).foreign() == []


def test_a_save_never_takes_the_place_of_a_strangers_checkpoint(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.checkpoint(7).mkdir()
    (paths.checkpoint(7) / "model.bin").write_text("mine")
    with pytest.raises(WorkError, match="checkpoint-7"), staged_checkpoint(paths, 7) as folder:
        (folder / "weights").write_text("new")
    assert contents(tmp_path) == {"checkpoint-7/model.bin": b"mine"}


def test_a_copy_of_a_checkpoint_under_another_number_is_somebodys_own(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    shutil.copytree(paths.checkpoint(4), paths.checkpoint(1))
    assert WrittenByRun(paths).foreign() == ["checkpoint-1"]
    assert rotate(paths, keep=1, best_step=None) == [2]
    assert paths.checkpoint(1).is_dir()


def test_rotation_leaves_a_checkpoint_with_a_file_of_others(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for step in (1, 2, 3, 4):
        with staged_checkpoint(paths, step) as folder:
            (folder / "weights").write_text("w")
    (paths.checkpoint(1) / "notes.txt").write_text("mine")
    assert rotate(paths, keep=1, best_step=None) == [2, 3]
    assert (paths.checkpoint(1) / "notes.txt").read_text() == "mine"


def test_leftovers_of_others_stay(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    (tmp_path / ".notes.txt.77.tmp").write_text("an editor's")
    (tmp_path / ".run.json.77.tmp").write_text("ours")
    paths.retired(7).mkdir()
    (paths.retired(7) / "model.bin").write_text("mine")
    remove_leftovers(paths)
    assert set(contents(tmp_path)) == {".notes.txt.77.tmp", ".checkpoint-7.old/model.bin"}


def test_curves_that_another_program_wrote_stay(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    record = read_json(paths.record)
    paths.tensorboard.mkdir()
    now = int(time.time())
    own = f"events.out.tfevents.{now}.{host()}.{record['pid']}.0"
    others = [
        f"events.out.tfevents.{now}.{host()}.{record['pid'] + 1}.0",
        f"events.out.tfevents.{now}.elsewhere.{record['pid']}.0",
        f"events.out.tfevents.{int(record['started']) - 900}.{host()}.{record['pid']}.0",
        "events.out.tfevents.mine",
    ]
    for name in (own, *others):
        (paths.tensorboard / name).write_text("curves")
    with open_session(paths.root, "overwrite") as session:
        session.training_started()
    assert sorted(path.name for path in paths.tensorboard.iterdir()) == sorted(others)


def test_a_refused_overwriting_gives_everything_back(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    before = contents(paths.root)
    with pytest.raises(OutputError, match="bad data"), open_session(paths.root, "overwrite"):
        raise OutputError("bad data")
    assert contents(paths.root) == before


def test_killed_while_a_run_is_set_aside_or_brought_back_nothing_is_lost(tmp_path: Path) -> None:
    """Stopped after each single rename, in both directions, the next start finds the whole run again."""
    paths = finished_run(tmp_path / "run")
    before = contents(paths.root)
    entries = WrittenByRun(paths).entries()
    for moved in range(1, len(entries)):
        paths.replaced.mkdir()
        for path in entries[:moved]:
            path.rename(paths.replaced / path.name)
        replaced.bring_back(paths)
        assert contents(paths.root) == before
        replaced.set_aside(paths, keep_log=False)
        for path in entries[::-1][:moved]:
            (paths.replaced / path.name).rename(path)
        replaced.bring_back(paths)
        assert contents(paths.root) == before


def test_an_overwriting_that_is_killed_before_it_trains_gives_the_run_back(small) -> None:
    assert small.start("run", "--steps", "2", "--adapter", "weights").wait(60) == 0
    (small.paths().root / "notes.txt").write_text("mine")
    child = small.start("run", "--mode", "overwrite", "--load-seconds", "600")
    assert wait_for(lambda: small.paths().replaced.is_dir() and small.paths().heartbeat.exists(), 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert small.start("run", "--mode", "new").wait(60) == 2  # it is the finished run again
    assert small.paths().adapter_weights.read_text() == "weights"
    assert (small.paths().root / "notes.txt").read_text() == "mine"


def test_the_folder_of_the_users_own_config_is_refused_by_the_command(tmp_path: Path) -> None:
    """The command as a user types it, before it looks for a model."""
    from tiny_training import make_workplace

    place = make_workplace(tmp_path)
    for name, text in MINE.items():
        (tmp_path / name).write_text(text)
    shutil.copy(tmp_path / "tiny.yaml", tmp_path / "config.yaml")
    before = contents(tmp_path)
    for words in ([], ["--overwrite"], ["--resume"], ["--detach"]):
        told = subprocess.run(
            [sys.executable, "-m", "movielora", "train", "--config", "config.yaml", "--set", "output_dir=.", *words],
            cwd=place.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert told.returncode == 2
        assert "error: output_dir" in told.stderr
        assert "README.md, config.yaml" in told.stderr
        assert "Traceback" not in told.stderr
        assert contents(tmp_path) == before


def test_the_list_of_files_is_in_the_record(tmp_path: Path) -> None:
    """Size and SHA-256 of `{}`, by hand: 2 bytes, 44136fa3…"""
    paths = finished_run(tmp_path / "run")
    entry = json.loads(paths.record.read_text())["files"]["tokenizer.json"]
    assert entry == {"size": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
