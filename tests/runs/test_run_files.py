"""Reading what stands in a run folder: logs that move (row 19), metrics, checkpoints, plain HF folders, names."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from movielora.errors import ConfigError, NoLiveRunError, WorkError
from movielora.runs.checkpoint_staging import (
    check_free_space,
    commit,
    remove_leftovers,
    rotate,
    stage,
    staged_checkpoint,
)
from movielora.runs.checkpoints import inspect, list_checkpoints, newest_complete
from movielora.runs.log_file import follow, last_line, last_lines
from movielora.runs.lookup.find import call_name, find_run
from movielora.runs.paths import RunPaths
from movielora.runs.record import check_name
from movielora.runs.status.history import best_evaluation, read_metrics
from movielora.runs.status.status import read_status
from tiny_training import wait_for


class Following:
    """`follow` in a thread, as `logs -f` runs it, until `over` is set."""

    def __init__(self, path: Path, count: int = 100) -> None:
        self.seen: list[str] = []
        self.over = threading.Event()
        self._thread = threading.Thread(
            target=lambda: [self.seen.append(line) for line in follow(path, self.over.is_set, count=count)]
        )
        self._thread.start()

    def wait_for(self, line: str) -> None:
        assert wait_for(lambda: line in self.seen, 5), self.seen

    def end(self) -> list[str]:
        self.over.set()
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.seen


def test_row_19_following_survives_truncation_and_rotation_and_ends_with_the_run(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\ntwo\n")
    following = Following(log)
    following.wait_for("two")
    with log.open("a") as file:
        file.write("three\n")
    following.wait_for("three")
    os.truncate(log, 0)
    time.sleep(0.5)
    with log.open("a") as file:
        file.write("after truncation\n")
    following.wait_for("after truncation")
    with log.open("a") as old:
        log.rename(tmp_path / "train.log.1")
        old.write("last of the old\n")
    time.sleep(0.3)
    log.write_text("first of the new\n")
    following.wait_for("first of the new")
    with log.open("a") as file:
        file.write("no newline at the end")
    assert following.end() == [
        "one", "two", "three", "after truncation", "last of the old", "first of the new", "no newline at the end",
    ]  # fmt: skip


def test_a_line_is_shown_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("whole\nha")
    following = Following(log)
    time.sleep(0.5)
    assert following.seen == ["whole"]
    with log.open("a") as file:
        file.write("lf\n")
    following.wait_for("half")
    assert following.end() == ["whole", "half"]


def test_a_log_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    following = Following(tmp_path / "later.log")
    time.sleep(0.3)
    (tmp_path / "later.log").write_text("here\n")
    following.wait_for("here")
    following.end()


def test_carriage_returns_and_escapes_are_taken_out(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(b"10%\r50%\r100%\r\n\x1b[31mred\x1b[0m\n\xff\xfe\n\n")
    assert last_lines(log, 10) == ["100%", "[31mred[0m", "\ufffd\ufffd", ""]
    assert last_line(log) == "\ufffd\ufffd"


@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_the_last_lines_of_a_long_log(tmp_path: Path, count: int) -> None:
    log = tmp_path / "train.log"
    lines = [f"{number} " + "x" * 300 for number in range(5000)]  # 1.5 MB: more than one block
    log.write_text("\n".join(lines) + "\n")
    assert last_lines(log, count) == (lines[-count:] if count else [])


def test_rows_after_a_resume_replace_what_they_repeat(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 1, "loss": 9.0}, {"step": 2, "loss": 8.0}, {"step": 2, "eval_auc": 0.5}, {"step": 3, "loss": 7.0},
        {"step": 2, "loss": 8.5}, {"step": 2, "eval_auc": 0.6}, {"train_runtime": 3.0, "step": 3},
    ]  # fmt: skip
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 4, "lo')
    history = read_metrics(metrics)
    assert [(row["step"], row["loss"]) for row in history.steps] == [(1, 9.0), (2, 8.5)]
    assert history.evaluations == [{"step": 2, "eval_auc": 0.6}]
    metrics.write_text('{"step": 5, "loss": null}\n')
    assert read_metrics(metrics).lost_at == 5


def test_the_best_evaluation_is_the_first_of_equals_and_low_for_a_loss(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    rows = [{"step": s, "eval_f1": f, "eval_loss": v} for s, f, v in [(1, 0.5, 2.0), (2, 0.7, 1.0), (3, 0.7, 1.5)]]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    history = read_metrics(metrics)
    assert best_evaluation(history, "eval_f1") == (0.7, 2)
    assert best_evaluation(history, "eval_loss") == (1.0, 2)
    assert best_evaluation(history, "eval_auc") is None


def save(paths: RunPaths, step: int, **files: bytes) -> None:
    with staged_checkpoint(paths, step) as folder:
        for name, content in (files or {"weights": b"w" * 100}).items():
            (folder / name).write_bytes(content)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save(paths, 5, optimizer=b"abc")
    save(paths, 9, optimizer=b"abc")
    (paths.checkpoint(9) / "optimizer").write_bytes(b"abd")
    assert list_checkpoints(paths)[1].complete  # the quick look sees names and sizes
    chosen, skipped = newest_complete(paths)
    assert (chosen.step, skipped[0].problems) == (5, ("optimizer has changed since it was saved",))


def test_folders_of_others_are_never_chosen(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save(paths, 5)
    paths.checkpoint(99).mkdir()
    (paths.checkpoint(99) / "README.md").write_text("not a checkpoint")
    (tmp_path / "checkpoint-last").mkdir()
    chosen, skipped = newest_complete(paths)
    assert (chosen.step, [found.step for found in skipped]) == (5, [99])


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save(paths, 5, weights=b"old")
    save(paths, 5, weights=b"new")
    assert (paths.checkpoint(5) / "weights").read_bytes() == b"new"
    assert paths.leftovers() == []


def test_a_failed_save_leaves_nothing_and_the_earlier_one_stands(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save(paths, 5)
    with pytest.raises(OSError, match="too long"), staged_checkpoint(paths, 9) as folder:
        (folder / ("x" * 300)).write_bytes(b"a name that no disk takes")
    with (
        pytest.raises(WorkError, match=r"without optimizer\.pt"),
        staged_checkpoint(paths, 9, required=["optimizer.pt"]),
    ):
        pass
    assert [(found.step, found.complete) for found in list_checkpoints(paths)] == [(5, True)]
    assert paths.leftovers() == []


def test_killed_between_the_two_renames_the_old_checkpoint_comes_back(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    save(paths, 5, weights=b"old")
    (stage(paths, 5) / "weights").write_bytes(b"new")
    paths.checkpoint(5).rename(paths.retired(5))
    remove_leftovers(paths)
    assert inspect(paths.checkpoint(5), 5).complete
    assert (paths.checkpoint(5) / "weights").read_bytes() == b"old"
    assert paths.leftovers() == []


def test_rotation_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for step in (1, 2, 3, 4, 5):
        save(paths, step)
    assert rotate(paths, keep=None, best_step=2) == []
    assert rotate(paths, keep=3, best_step=1) == [2, 3]
    assert [step for step, _ in paths.checkpoints()] == [1, 4, 5]
    assert rotate(paths, keep=1, best_step=1) == [4]
    (paths.checkpoint(5) / "weights").unlink()
    assert rotate(paths, keep=1, best_step=1) == [5]  # a damaged newest protects nothing


def test_a_save_that_has_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="a checkpoint needs about"):
        check_free_space(RunPaths(tmp_path), expected_bytes=10**15)
    stage(RunPaths(tmp_path), 3)
    assert commit(RunPaths(tmp_path), 3) == tmp_path / "checkpoint-3"


def plain_trainer_folder(root: Path, *, step: int, last: int, files: tuple[str, ...]) -> RunPaths:
    """What transformers' Trainer leaves, as far as a reader can tell without torch."""
    import zipfile

    paths = RunPaths(root)
    folder = paths.checkpoint(step)
    folder.mkdir(parents=True)
    state = {
        "global_step": step, "max_steps": last, "epoch": 1.5, "best_metric": 0.9, "best_global_step": step,
        "log_history": [{"step": 10, "loss": 1.25, "learning_rate": 1e-4}, {"step": 20, "eval_loss": 0.5}],
    }  # fmt: skip
    (folder / "trainer_state.json").write_text(json.dumps(state))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for name in files:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data", b"x" * 100)
    return paths


_TORCH_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def test_a_plain_trainers_folder_is_read(tmp_path: Path) -> None:
    paths = plain_trainer_folder(tmp_path / "hf", step=20, last=20, files=_TORCH_FILES)
    told = read_status(paths).to_json()
    assert (told["state"], told["step"], told["max_steps"], told["epoch"]) == ("finished", 20, 20, 1.5)
    assert (told["loss"], told["metrics"]["eval_loss"], told["best"]) == (
        1.25,
        0.5,
        {"metric": "", "value": 0.9, "step": 20},
    )
    assert [(c["complete"], c["best"]) for c in told["checkpoints"]] == [(True, True)]
    assert set(told) == {
        "run", "run_dir", "state", "reason", "phase", "step", "max_steps", "epoch", "loss", "learning_rate",
        "examples_per_second", "tokens_per_second", "flop_utilisation", "elapsed_seconds", "eta_seconds", "process",
        "gpu", "checkpoints",
        "metrics", "best",
    }  # fmt: skip


def test_a_plain_trainers_unfinished_folder_is_running_while_its_files_change(tmp_path: Path) -> None:
    paths = plain_trainer_folder(tmp_path / "hf", step=20, last=90, files=_TORCH_FILES)
    assert read_status(paths).state == "running"
    long_ago = time.time() - 3600
    for path in (paths.root, paths.checkpoint(20)):
        os.utime(path, (long_ago, long_ago))
    assert read_status(paths).state == "interrupted"


@pytest.mark.parametrize("name", [*_TORCH_FILES, "model.safetensors", "trainer_state.json"])
def test_a_plain_trainers_damaged_checkpoint_is_found(tmp_path: Path, name: str) -> None:
    paths = plain_trainer_folder(tmp_path, step=20, last=90, files=_TORCH_FILES)
    path = paths.checkpoint(20) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert name in inspect(paths.checkpoint(20), 20).problems[0]
    path.unlink()
    assert not inspect(paths.checkpoint(20), 20).complete


def test_without_an_argument_the_newest_run_is_meant(tmp_path: Path) -> None:
    root = tmp_path / "output"
    for name, started in (("old", 100.0), ("new", 200.0), ("group/inner", 150.0)):
        (root / name).mkdir(parents=True)
        (root / name / "run.json").write_text(json.dumps({"name": f"{Path(name).name}-run", "started": started}))
    assert find_run(None, root).root == root / "new"
    assert find_run("old-run", root).root == root / "old"
    assert find_run("inner", root).root == root / "group" / "inner"
    assert call_name(root / "old", "old-run", root) == "old-run"
    assert call_name(tmp_path / "else", "old-run", root) == str(tmp_path / "else")
    with pytest.raises(NoLiveRunError, match="there is no run"):
        find_run(None, tmp_path / "empty")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-dash", "a b", "x" * 101, "näme", "a\n"])
def test_a_name_that_could_be_a_path_or_option_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be named"):
        check_name(name)
