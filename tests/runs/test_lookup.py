"""Which run a name means: under output/, in this folder, in the list of the user's runs; never one of several."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from movielora.errors import ConfigError, NoLiveRunError
from movielora.runs.lookup.find import call_name, find_run, list_runs, run_to_resume, run_to_stop, runs_elsewhere
from movielora.runs.lookup.index import index_folder, remember, remembered
from movielora.storage import lock


def make_run(folder: Path, name: str, started: float = 100.0) -> Path:
    """A run that has ended, as its record says."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"name": name, "started": started}))
    return folder


def known(folder: Path) -> Path:
    remember(folder, pytest.fail)
    return folder


def movielora(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "movielora", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


# The list itself.


def test_runs_that_start_at_once_all_come_on_the_list(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"run-{number}", f"n{number}") for number in range(40)]
    program = (
        "import sys; from pathlib import Path; from movielora.runs.lookup.index import remember\n"
        "for folder in sys.argv[1:]: remember(Path(folder), sys.exit)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, *map(str, folders[start::8])], env=os.environ)
        for start in range(8)
    ]
    assert [child.wait(60) for child in children] == [0] * 8
    assert {paths.root for paths in remembered()} == set(folders)


def test_a_run_that_is_gone_leaves_the_list(tmp_path: Path) -> None:
    gone, emptied, kept = (known(make_run(tmp_path / name, name)) for name in ("gone", "emptied", "kept"))
    (gone / "run.json").unlink()
    gone.rmdir()
    (emptied / "run.json").unlink()
    assert [paths.root for paths in remembered()] == [kept]
    assert len(list(index_folder().iterdir())) == 1


def test_a_run_on_a_disk_that_is_not_mounted_now_stays_on_the_list(tmp_path: Path) -> None:
    """As after `umount`: the recorded mount point is an ordinary folder."""
    folder = known(make_run(tmp_path / "disk" / "run", "far"))
    [entry] = index_folder().iterdir()
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "mount": str(tmp_path / "disk")}))
    (folder / "run.json").unlink()
    folder.rmdir()
    assert remembered() == []
    assert entry.exists()


def test_what_movielora_did_not_write_into_the_list_stays_and_is_no_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "run")
    index_folder().mkdir(parents=True)
    strange = {
        "notes.json": "mine",
        "a.json": json.dumps({"folder": str(folder)}),  # not the name that this folder's entry has
        "b.json": json.dumps({"folder": ["x"]}),
        "c.json": "[" * 100_000,
    }
    for name, text in strange.items():
        (index_folder() / name).write_text(text)
    os.mkfifo(index_folder() / "pipe.json")
    assert remembered() == []
    assert len(list(index_folder().iterdir())) == 5


def test_a_folder_whose_name_is_no_text_is_on_the_list(tmp_path: Path) -> None:
    folder = make_run(Path(os.fsdecode(bytes(tmp_path) + b"/run-\xff\n")), "odd")
    known(folder)
    assert [paths.root for paths in remembered()] == [folder]
    assert find_run("odd", tmp_path / "output").root == folder


def test_a_list_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    said: list[str] = []
    remember(make_run(tmp_path / "run", "run"), said.append)
    assert len(said) == 1
    assert str(tmp_path / "state") in said[0]
    assert remembered() == []


def test_a_relative_state_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/state"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert index_folder() == tmp_path / ".local" / "state" / "movielora" / "runs"


# Names.


def test_a_run_of_another_folder_is_found_by_name_and_as_the_newest(tmp_path: Path) -> None:
    old = known(make_run(tmp_path / "a" / "output" / "old", "old-run", 100))
    new = known(make_run(tmp_path / "b" / "output" / "new", "new-run", 200))
    root = tmp_path / "c" / "output"
    assert find_run("old-run", root).root == old
    assert find_run("new", root).root == new
    assert find_run(None, root).root == new
    assert [paths.root for paths in runs_elsewhere(tmp_path / "a" / "output")] == [new]


def test_two_runs_of_one_name_are_refused_by_both_paths(tmp_path: Path) -> None:
    root = tmp_path / "output"
    first, second = make_run(root / "a" / "seed1", "x"), make_run(root / "b" / "other", "seed1")
    for find in (find_run, run_to_stop, run_to_resume):
        with pytest.raises(ConfigError) as refused:
            find("seed1", root)
        assert str(first) in refused.value.message
        assert str(second) in refused.value.message
        assert refused.value.exit_code == 2
    assert find_run(str(second), root).root == second
    assert call_name(second, "seed1", root) == str(second)
    assert call_name(first, "x", root) == "x"


def test_two_runs_of_one_name_elsewhere_are_refused_and_one_here_is_meant(tmp_path: Path) -> None:
    for place in ("a", "b"):
        known(make_run(tmp_path / place / "output" / "seed1", "seed1"))
    root = tmp_path / "c" / "output"
    with pytest.raises(ConfigError, match="2 runs are named 'seed1'"):
        find_run("seed1", root)
    here = make_run(root / "seed1", "seed1")
    assert find_run("seed1", root).root == here
    assert run_to_stop("seed1", root).root == here  # those elsewhere have ended


def test_a_folder_here_and_a_run_under_output_are_two_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "seed1", "one")
    make_run(tmp_path / "output" / "seed1", "two")
    with chdir(tmp_path):
        with pytest.raises(ConfigError, match="2 runs are named"):
            find_run("seed1")
        assert find_run("./seed1").root == Path("seed1")


def test_a_link_to_a_run_is_the_same_run(tmp_path: Path) -> None:
    root = tmp_path / "output"
    run = make_run(root / "seed1", "seed1")
    (root / "latest").symlink_to("seed1")
    assert find_run("latest", root).root.resolve() == run
    assert find_run("seed1", root).root.resolve() == run
    with chdir(root):
        assert find_run("seed1", Path("../output")).root.resolve() == run


def test_an_adapter_folder_here_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "adapter_config.json").write_text("{}")
    with chdir(tmp_path):
        assert find_run("bare").root == Path("bare")


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_an_empty_name_is_refused(tmp_path: Path, name: str) -> None:
    for find in (find_run, run_to_stop, run_to_resume):
        with pytest.raises(ConfigError, match="is empty"):
            find(name, tmp_path / "output")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "../" + "x" * 5000, "a\x1b[2Jb", "näme", "-x"])
def test_an_odd_name_is_a_run_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoLiveRunError, match=r"there is no (run|folder)") as refused:
        find_run(name, tmp_path / "output")
    assert len(refused.value.message) < 1000


def test_the_message_of_a_missing_run_says_where_it_was_looked_for(tmp_path: Path) -> None:
    known(make_run(tmp_path / "a" / "run", "run"))
    with pytest.raises(NoLiveRunError) as refused:
        find_run("nobody", tmp_path / "output")
    assert f"{tmp_path}/output/" in refused.value.message
    assert str(index_folder()) in refused.value.message
    assert "the 1 run elsewhere" in refused.value.message


def test_a_resume_without_a_name_takes_a_run_elsewhere_only_if_it_is_the_only_one(tmp_path: Path) -> None:
    root = tmp_path / "here" / "output"
    only = known(make_run(tmp_path / "a" / "one", "one"))
    assert run_to_resume(None, root).root == only
    known(make_run(tmp_path / "b" / "two", "two"))
    with pytest.raises(ConfigError, match="2 elsewhere"):
        run_to_resume(None, root)
    here = make_run(root / "three", "three", 1.0)
    assert run_to_resume(None, root).root == here


# With real processes.


def test_stop_never_takes_one_of_two_live_runs_of_a_name(small, tmp_path: Path) -> None:
    """The same name here and in another folder, both alive; then only the one elsewhere."""
    here = small.start_and_wait("seed1", "--name", "seed1")
    elsewhere = small.start_and_wait("../other/output/seed1", "--name", "seed1")
    refused = movielora(small.root, "stop", "seed1")
    assert (refused.returncode, refused.stdout) == (2, "")
    for folder in ("output/seed1", f"{small.root}/other/output/seed1"):
        assert folder in refused.stderr
    unnamed = movielora(small.root / "other" / "output", "stop")  # no output/ below: both are elsewhere
    assert unnamed.returncode == 2
    assert "2 runs are alive" in unnamed.stderr
    assert (here.poll(), elsewhere.poll()) == (None, None)
    by_path = movielora(small.root, "stop", "output/seed1")
    assert by_path.returncode == 0, by_path.stderr
    assert here.wait(20) == 75
    # The one here has ended: a stop by name would have to mean the one elsewhere, and is refused all the same.
    assert movielora(small.root, "stop", "seed1").returncode == 2
    assert movielora(small.root, "status", "seed1").returncode == 0
    assert elsewhere.poll() is None
    only = movielora(tmp_path.parent, "stop", "--json")
    assert only.returncode == 0, only.stderr
    assert elsewhere.wait(20) == 75


def test_status_logs_and_runs_from_another_folder(small, tmp_path: Path) -> None:
    small.start_and_wait("mine", "--name", "mine", detached=True)
    away = tmp_path / "away"
    away.mkdir()
    for words in (["status"], ["status", "mine"]):
        told = json.loads(movielora(away, *words, "--json").stdout)
        assert (told["run"], told["state"]) == ("mine", "running")
    assert movielora(away, "logs", "mine", "--metrics", "-n", "1").returncode == 0
    assert json.loads(movielora(away, "runs", "--json").stdout) == {"runs": [], "left_out": 1}
    shown = movielora(away, "runs").stdout
    assert "1 in other folders: movielora runs --all" in shown
    everything = movielora(away, "runs", "--all").stdout
    assert f"in {tmp_path}/output" in everything
    assert "mine" in everything
    told = json.loads(movielora(tmp_path, "runs", "--json").stdout)
    assert [run["run"] for run in told["runs"]] == ["mine"]
    assert told["left_out"] == 0


def test_a_killed_run_elsewhere_is_found_and_stop_says_how_it_ended(small, tmp_path: Path) -> None:
    child = small.start_and_wait("dead", "--name", "dead")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert lock.probe(small.paths("dead").lock) == "free"
    done = movielora(tmp_path.parent, "stop", "dead")
    assert done.returncode == 3
    assert "is not alive (killed)" in done.stderr
    assert [paths.root.name for paths in list_runs(tmp_path / "output")] == ["dead"]
