"""A finished run that is overwritten is there, whole, until the new one trains; whatever ends the attempt."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_foreign_files import contents, finished_run, open_session

from movielora.errors import OutputError
from movielora.runs.folder import replaced
from movielora.runs.lookup.find import list_runs
from movielora.runs.paths import RunPaths
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.runs.status.hints import hints
from movielora.runs.status.status import read_status
from tiny_training import Workplace, wait_for

_INTERRUPTED = Path(__file__).with_name("interrupted_replacement.py")


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("what", ["replace", "settle"])
def test_a_signal_at_any_moment_leaves_the_finished_run(tmp_path: Path, what: str, number: str) -> None:
    paths = finished_run(tmp_path / "run")
    paths.tensorboard.mkdir()
    record = json.loads(paths.record.read_text())
    name = f"events.out.tfevents.{int(record['started'])}.{record['host']}.{record['pid']}.0"
    (paths.tensorboard / name).write_text("curves")
    (paths.root / "notes.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, str(_INTERRUPTED), what, number, str(paths.root), str(tmp_path / "copies")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    differences = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(differences) > len(replaced.WrittenByRun(paths).entries())  # each rename was a moment, and more
    assert not any(differences), differences


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("detached", [False, True], ids=["foreground", "detached"])
def test_a_stop_while_the_new_run_loads_gives_the_old_one_back(small, number: signal.Signals, detached: bool) -> None:
    assert small.start("run", "--steps", "2", "--adapter", "weights", "--name", "old").wait(60) == 0
    (small.paths().log).write_text("movielora 0.1.0, log of 2026-11-25 20:14:02\nstep 1\n")
    before = contents(small.paths().root)
    child = small.start("run", "--mode", "overwrite", "--load-seconds", "600", detached=detached)
    assert wait_for(lambda: (beat := read_heartbeat(small.paths())) and beat.text("phase") == "loading model", 60)
    child.send_signal(number)
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 75
    assert "while loading model; the run old, which it was to replace, is back in its place" in said
    assert contents(small.paths().root) == before
    assert small.state().name == "finished"


def test_a_run_that_breaks_while_it_loads_gives_the_old_one_back(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    before = contents(paths.root)
    with pytest.raises(ValueError, match="a bug") as bug, open_session(paths.root, "overwrite"):
        raise ValueError("a bug")
    assert "is back in its place" in bug.value.__notes__[0]
    assert contents(paths.root) == before


def test_a_start_that_fails_once_the_old_run_is_aside_gives_it_back(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    paths.metrics.unlink()
    before = contents(paths.root)
    with pytest.raises(UnicodeEncodeError):  # of the config, which is written after the record
        open_session(paths.root, "overwrite", "name: \udc80\n")
    assert contents(paths.root) == before


def test_a_run_of_an_earlier_version_comes_back_from_halfway(tmp_path: Path) -> None:
    """Its record lists no files; what proves them may be on either side."""
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "run_v1", tmp_path / "run")
    paths = RunPaths(tmp_path / "run")
    before = contents(paths.root)
    entries = replaced.WrittenByRun(paths).entries()
    for moved in range(1, len(entries)):
        paths.replaced.mkdir()
        for path in entries[:moved]:
            path.rename(paths.replaced / path.name)
        replaced.bring_back(paths)
        assert contents(paths.root) == before


def test_a_folder_of_somebodys_own_called_replaced_is_refused_and_stays(tmp_path: Path) -> None:
    paths = finished_run(tmp_path / "run")
    paths.replaced.mkdir()
    (paths.replaced / "config.yaml").write_text("mine")
    before = contents(paths.root)
    with pytest.raises(OutputError, match="is in the way"):
        open_session(paths.root, "overwrite")
    assert contents(paths.root) == before


def _killed_while_loading(small) -> RunPaths:
    child = small.start("run", "--mode", "overwrite", "--load-seconds", "600")
    assert wait_for(lambda: (beat := read_heartbeat(small.paths())) and beat.text("phase") == "loading model", 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return small.paths()


def test_a_resume_after_a_kill_finds_the_finished_run_again(small) -> None:
    assert small.start("run", "--steps", "2", "--adapter", "weights").wait(60) == 0
    before = contents(small.paths().root)
    _killed_while_loading(small)
    assert small.start("run", "--mode", "resume", "--steps", "0").wait(60) == 0
    after = contents(small.paths().root)
    for name in ("adapter_model.safetensors", "metrics.jsonl", "config.yaml"):
        assert after[name] == before[name]
    assert not small.paths().replaced.exists()


@pytest.mark.parametrize("moment", ["while it loaded", "before its record"])
def test_a_status_after_a_kill_says_where_the_finished_run_is(small, moment: str) -> None:
    assert small.start("run", "--steps", "2", "--adapter", "weights").wait(60) == 0
    paths = _killed_while_loading(small)
    if moment == "before its record":
        replaced.remove_written(paths)
    assert [found.root for found in list_runs(paths.root.parent)] == [paths.root]
    status = read_status(paths, measure=False)
    assert status.state in ("killed", "interrupted")
    (said,) = hints(status)
    assert (
        said
        == f"the run that was to be replaced waits in {paths.replaced}: movielora resume {paths.root} brings it back"
    )


def test_the_commands_give_a_finished_training_back(workplace: Workplace) -> None:
    """A kill while `train --overwrite` loads; then `resume` has nothing to do, and the adapter is there."""
    paths = workplace.paths("kept")
    shutil.copytree(workplace.paths("calm").root, paths.root)
    before = contents(paths.root)
    child = workplace.start(*workplace.train("kept", "--overwrite"))
    assert wait_for(lambda: RunPaths(paths.replaced).record.exists() and paths.config.exists(), 60)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert "waits in" in workplace.run("status", "output/kept").stdout
    compared = workplace.run("compare", "output/kept")
    assert compared.returncode == 2
    assert "waits in output/kept/.replaced: movielora resume output/kept brings it back" in compared.stderr
    told = workplace.run("resume", "output/kept")
    assert told.returncode == 2
    assert "which it was to replace, is back in its place" in told.stderr
    assert "nothing remains of" in told.stderr
    after = contents(paths.root)
    assert {name: data for name, data in after.items() if not name.startswith(".files.partial-")} == before


def test_a_refused_start_in_the_background_gives_everything_back(workplace: Workplace) -> None:
    """The log of the finished run, which the background run continues, is kept too."""
    started = workplace.run(*workplace.train("logged", "--detach"))
    assert started.returncode == 0, started.stderr
    assert wait_for(lambda: workplace.status("logged")["state"] == "finished", 120)
    before = contents(workplace.paths("logged").root)
    words = workplace.train("logged", "--detach", "--overwrite", "--set", "lora_target=qkv")
    refused = workplace.run(*words)
    assert refused.returncode == 2
    assert "qkv" in refused.stderr
    after = contents(workplace.paths("logged").root)
    assert after.pop("train.log").startswith(before.pop("train.log"))
    assert after == before
