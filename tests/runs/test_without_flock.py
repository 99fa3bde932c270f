"""Runs on a file system without `flock`: real processes in which the system call answers as Lustre's does."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from movielora.storage.claims import claim, newest_claim
from movielora.storage.process import this_process

_NO_FLOCK = """\
import fcntl
def flock(*_):
    raise OSError({number}, "no locks here")
fcntl.flock = flock
"""


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def no_flock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python that a test starts from here on has no flock."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_NO_FLOCK.format(number=getattr(errno, request.param)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(":"))


def movielora(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "movielora", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.usefixtures("no_flock")
def test_a_run_lives_is_seen_and_stopped_and_no_other_begins_in_its_folder(small) -> None:
    child = small.start_and_wait("run", "--name", "run")
    assert newest_claim(small.paths().lock).path.name == ".lock.1"
    told = json.loads(movielora(small.root, "status", "--json").stdout)
    assert (told["state"], told["process"]["pid"]) == ("running", child.pid)
    assert [run["state"] for run in json.loads(movielora(small.root, "runs", "--json").stdout)["runs"]] == ["running"]
    second = small.start("run", "--mode", "overwrite")
    said = second.communicate(timeout=60)[0]
    assert second.returncode == 2
    assert f"run run is alive in {small.paths().root}, PID {child.pid}" in said
    stopped = json.loads(movielora(small.root, "stop", "--json").stdout)
    assert (stopped["state"], stopped["forced"]) == ("stopped", False)
    assert child.wait(20) == 75
    assert json.loads(movielora(small.root, "status", "--json").stdout)["state"] == "stopped"
    again = small.start_and_wait("run", "--mode", "resume")
    assert json.loads(movielora(small.root, "status", "--json").stdout)["process"]["pid"] == again.pid


@pytest.mark.usefixtures("no_flock")
def test_the_folder_of_a_killed_run_is_free(small) -> None:
    child = small.start_and_wait("run")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert json.loads(movielora(small.root, "status", "--json").stdout)["state"] == "killed"
    small.start_and_wait("run", "--mode", "resume")
    assert json.loads(movielora(small.root, "status", "--json").stdout)["state"] == "running"


@pytest.mark.usefixtures("no_flock")
def test_a_run_of_another_host_holds_until_its_file_is_deleted(small) -> None:
    child = small.start_and_wait("run")
    child.send_signal(signal.SIGKILL)
    child.wait()
    held = newest_claim(small.paths().lock)
    held.path.write_text(json.dumps({**held.content, "host": "node-17", "boot_id": "another"}))
    assert json.loads(movielora(small.root, "status", "--json").stdout)["process"]["alive"]
    second = small.start("run", "--mode", "resume")
    said = second.communicate(timeout=60)[0]
    assert second.returncode == 2
    assert "is alive in" in said
    refused = movielora(small.root, "resume", "output/run", "--detach")
    assert refused.returncode == 2
    assert f"if it no longer runs on node-17: rm {held.path}" in refused.stderr
    held.path.unlink()
    small.start_and_wait("run", "--mode", "resume")


def test_a_folder_that_cannot_be_locked_for_another_reason_is_one_sentence(small, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_NO_FLOCK.format(number=errno.EIO))
    small.paths().root.mkdir(parents=True)
    small.paths().lock.write_text("")
    command = [sys.executable, str(Path(__file__).with_name("small_run.py")), str(small.paths().root)]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: output_dir {small.paths().root} cannot be locked: no locks here"


def test_of_many_that_claim_a_dead_ones_folder_at_once_one_succeeds(tmp_path: Path) -> None:
    """Five rounds: eight processes wait for one moment, then claim; all are killed, and the next eight begin."""
    lock = tmp_path / ".lock"
    program = (
        "import sys, time; from pathlib import Path; from movielora.storage.claims import claim\n"
        "lock = Path(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print('mine' if claim(lock) else 'taken', flush=True); time.sleep(600)"
    )
    for number in range(1, 6):
        children = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(8)
        ]
        try:
            assert {child.stdout.readline() for child in children} == {"ready\n"}
            for child in children:
                child.stdin.write("\n")
                child.stdin.flush()
            assert [child.stdout.readline() for child in children].count("mine\n") == 1
        finally:
            for child in children:
                child.kill()
                child.communicate()
        assert sorted(path.name for path in tmp_path.iterdir()) == [f".lock.{number}"]


def test_only_a_process_that_is_certainly_dead_has_no_claim(tmp_path: Path) -> None:
    """Worked through by hand: what may be another machine's or another container's process holds."""
    lock = tmp_path / ".lock"
    mine = claim(lock)
    assert not newest_claim(lock).is_over
    dead = {**mine.content, "pid": 2**22 - 1, "start_ticks": 1}
    cases = {
        "ended": (dead, True),
        "earlier boot of this host": ({**mine.content, "boot_id": "before"}, True),
        "other host": ({**dead, "host": "node-17"}, False),
        "other container of this host": ({**dead, "pid_namespace": 1}, False),
        "torn": ({}, False),
        "no identity": ({"host": socket.gethostname(), "pid": -1}, False),
        "released": ({"released": True}, True),
        "says released in words": ({**mine.content, "released": "yes"}, False),
    }
    for case, (content, over) in cases.items():
        mine.path.write_text(json.dumps(content))
        assert newest_claim(lock).is_over is over, case
    assert this_process().pid == os.getpid()


def test_a_claim_that_is_given_back_is_followed_by_the_next_number(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    for number in (1, 2, 3):
        held = claim(lock)
        assert held.path.name == f".lock.{number}"
        assert claim(lock) is None
        size = held.path.stat().st_size
        held.release()
        assert held.path.stat().st_size == size  # no more room is asked for: the disk may be full
        assert sorted(path.name for path in tmp_path.iterdir()) == [held.path.name]


@pytest.mark.usefixtures("no_flock")
def test_a_full_disk_leaves_no_claim_that_blocks_the_next_run(small) -> None:
    """No file may grow in the first process, as on a full disk; the second has room again."""
    small.paths().root.mkdir(parents=True)
    program = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    run = [str(Path(__file__).with_name("small_run.py")), str(small.paths().root)]
    full = subprocess.run(
        [sys.executable, "-c", program, *run], capture_output=True, text=True, timeout=60, check=False
    )
    assert full.returncode == 2
    assert full.stderr.strip() == f"error: output_dir {small.paths().root} cannot be locked: File too large"
    assert [path.name for path in small.paths().root.iterdir()] == [".lock"]
    assert small.start("run", "--steps", "1").wait(60) == 0


def test_a_claim_that_stays_empty_is_passed(tmp_path: Path) -> None:
    """Its process was killed between creating and writing it. One that is new may be written in a moment."""
    lock = tmp_path / ".lock"
    empty = tmp_path / ".lock.1"
    empty.touch()
    assert claim(lock) is None
    os.utime(empty, (0, 0))
    assert claim(lock).path.name == ".lock.2"
    assert not empty.exists()


@pytest.mark.parametrize("when", ["before the next number", "after it"])
def test_the_process_of_an_empty_claim_that_wakes_up_never_shares_the_folder(tmp_path: Path, when: str) -> None:
    """A real process, suspended between creating its claim and writing it, and waked before or after it is passed."""
    lock = tmp_path / ".lock"
    program = (
        "import json, os, sys; from pathlib import Path; from movielora.storage import claims\n"
        "def slow(content, dumps=json.dumps):\n"
        "    print('created', flush=True); sys.stdin.readline(); return dumps(content)\n"
        "claims.json.dumps = slow\n"
        "print('mine' if claims.claim(Path(sys.argv[1])) else 'taken', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as slow:
        assert slow.stdout.readline() == "created\n"
        os.utime(tmp_path / ".lock.1", (0, 0))
        passing = claim(lock) if when == "after it" else None
        slow.stdin.write("\n")
        assert slow.stdout.readline() == ("mine\n" if passing is None else "taken\n")
        if passing is None:
            assert claim(lock) is None
        slow.stdin.write("\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock.1" if passing is None else ".lock.2"]


def test_a_slow_process_that_was_overtaken_does_not_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw number 1 over and was suspended; meanwhile 2, 3 and 4 came and went, and 2 was cleared away."""
    lock = tmp_path / ".lock"
    claim(lock).release()
    stale = newest_claim(lock)
    for _ in range(3):
        claim(lock).release()
    monkeypatch.setattr("movielora.storage.claims.newest_claim", lambda path: stale)
    assert claim(lock) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock.4"]
