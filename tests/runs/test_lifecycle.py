"""Ways a background run goes wrong: rows 2 to 11, 14 to 16, 18, 20 and 22, on processes without a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from movielora.errors import NoLiveRunError, WorkError
from movielora.progress import SILENT
from movielora.runs.checkpoints import list_checkpoints, newest_complete
from movielora.runs.record import read_record
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.runs.status.status import read_status
from movielora.runs.stopping import stop_run
from movielora.storage import lock
from movielora.storage.atomic import read_json, write_json_atomically
from tiny_training import wait_for


def change_record(path: Path, **changes: object) -> None:
    write_json_atomically(path, {**(read_json(path) or {}), **changes})


def test_row_2_a_detached_run_ignores_a_hangup(small) -> None:
    child = small.start_and_wait(detached=True)
    os.kill(child.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert child.poll() is None
    assert small.state().name == "running"


def test_a_foreground_run_takes_a_hangup_for_a_stop(small) -> None:
    child = small.start_and_wait()
    os.kill(child.pid, signal.SIGHUP)
    assert child.wait(10) == 75
    assert small.state().name == "stopped"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_row_3_a_signal_that_was_ignored_on_entry_stays_ignored_and_stop_still_works(small, number) -> None:
    """`nohup` ignores HUP, a shell without job control ignores INT for `… &`, and the child inherits that."""
    script = Path(__file__).with_name("small_run.py")
    name = number.name.removeprefix("SIG")
    command = f"'{sys.executable}' '{script}' '{small.paths().root}' >/dev/null 2>&1 & echo $!"
    shell = subprocess.run(
        ["bash", "-c", f"trap '' {name}; {command}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert wait_for(lambda: (beat := read_heartbeat(small.paths())) and beat.count("step"), 30)
    before = read_heartbeat(small.paths()).count("step")
    os.kill(int(shell.stdout), number)
    assert wait_for(lambda: (read_heartbeat(small.paths()).count("step") or 0) > before + 20, 30)
    assert small.state().name == "running"
    stopped = stop_run(small.paths(), SILENT, timeout=30)
    assert (stopped.state, stopped.forced) == ("stopped", False)
    assert stopped.checkpoint is not None


def test_a_training_under_nohup_outlives_its_terminal(small, tmp_path: Path) -> None:
    """The hang-up that the kernel sends when a terminal closes, to the program that `nohup` started."""
    script, out = Path(__file__).with_name("small_run.py"), tmp_path / "nohup.out"
    with out.open("wb") as output:
        child = subprocess.Popen(
            ["nohup", sys.executable, str(script), str(small.paths().root)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    assert wait_for(lambda: (beat := read_heartbeat(small.paths())) and beat.count("step"), 30)
    os.killpg(child.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert child.poll() is None
    assert stop_run(small.paths(), SILENT, timeout=30).state == "stopped"
    assert child.wait(10) == 75


def test_row_4_a_stranger_with_the_recorded_pid_is_neither_alive_nor_signalled(small) -> None:
    child = small.start_and_wait()
    child.kill()
    child.wait()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        now = psutil.Process(stranger.pid).create_time()
        change_record(small.paths().record, pid=stranger.pid, process_started=now - 1000, start_ticks=1)
        change_record(small.paths().lock, pid=stranger.pid, process_started=now - 1000, start_ticks=1)
        assert small.state().name == "killed"
        with pytest.raises(NoLiveRunError):
            stop_run(small.paths(), SILENT, timeout=1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_row_4_even_the_right_start_time_does_not_make_a_stranger_ours(small) -> None:
    """Who does not hold the lock is not the run, whatever record and lock file say."""
    child = small.start_and_wait()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        started = psutil.Process(stranger.pid)
        ticks = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
        told = {"pid": stranger.pid, "process_started": started.create_time(), "start_ticks": ticks}
        change_record(small.paths().record, **told)
        content = (read_json(small.paths().lock) or {}) | told
        small.paths().lock.write_text(json.dumps(content))
        with pytest.raises((NoLiveRunError, WorkError)):
            stop_run(small.paths(), SILENT, timeout=1)
        assert stranger.poll() is None
        assert child.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_row_5_a_record_without_a_process_is_not_alive(small) -> None:
    child = small.start_and_wait("run", "--steps", "2")
    child.wait()
    change_record(small.paths().record, ended=None)
    small.paths().lock.unlink()
    state, liveness = small.look()
    assert (state.name, liveness.alive) == ("killed", False)


def test_row_6_another_boot_means_interrupted(small) -> None:
    child = small.start_and_wait()
    child.kill()
    child.wait()
    change_record(small.paths().record, boot_id="another-boot")
    assert small.state() == type(small.state())("interrupted", "the machine restarted")


def test_row_7_kill_9_is_killed_and_never_running(small) -> None:
    child = small.start_and_wait()
    child.kill()
    child.wait()
    state = small.state()
    assert state.name == "killed"
    assert "kill -9" in state.reason


def test_row_8_a_memory_kill_is_told_from_the_groups_events(small, tmp_path: Path, monkeypatch) -> None:
    events = tmp_path / "cgroup" / "memory.events"
    events.parent.mkdir()
    events.write_text("low 0\noom 0\noom_kill 3\n")
    monkeypatch.setenv("MOVIELORA_CGROUP_ROOT", str(events.parent))
    child = small.start_and_wait()
    assert read_json(small.paths().record)["out_of_memory_kills"] == 3
    child.kill()
    child.wait()
    assert "out of memory?)" not in small.state().reason
    events.write_text("low 0\noom 1\noom_kill 4\n")
    state = small.state()
    assert state.name == "killed"
    assert state.reason.startswith("killed (out of memory?)")


def test_row_9_a_zombie_is_dead(small) -> None:
    child = small.start_and_wait()
    child.kill()
    assert wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10)
    assert small.state().name == "killed"
    assert not read_status(small.paths()).alive
    child.wait()


def test_row_10_the_whole_group_ends_and_is_seen_empty(small) -> None:
    child = small.start_and_wait("run", "--workers", "2", "--deaf")
    assert len(psutil.Process(child.pid).children()) == 2
    stopped = stop_run(small.paths(), SILENT, timeout=0.5)
    assert stopped.forced
    child.wait()
    assert lock.holders(small.paths().lock) == []
    assert small.look()[1].orphans == ()


def test_row_10_workers_that_outlive_a_killed_run_are_named_and_ended_by_stop(small) -> None:
    child = small.start_and_wait("run", "--workers", "2")
    workers = psutil.Process(child.pid).children()
    child.kill()
    child.wait()
    state, liveness = small.look()
    assert state.name == "killed"
    assert set(liveness.orphans) == {worker.pid for worker in workers}
    with pytest.raises(NoLiveRunError):
        stop_run(small.paths(), SILENT)
    assert lock.probe(small.paths().lock) == "free"


def test_row_10_a_new_attempt_ends_the_workers_that_the_last_one_left(small) -> None:
    child = small.start_and_wait("run", "--workers", "2")
    child.kill()
    child.wait()
    again = small.start("run", "--mode", "resume", "--steps", "3")
    assert again.wait(30) == 0
    assert small.state().name == "finished"


def test_row_10_two_attempts_at_once_end_the_workers_and_not_each_other(small) -> None:
    """Both find the workers, both wait for them to end; one is the run then, and the other is refused."""
    child = small.start_and_wait("run", "--workers", "1")
    child.kill()
    child.wait()
    pair = [small.start("run", "--mode", "resume", "--steps", "3", "--load-seconds", "8") for _ in range(2)]
    assert sorted(each.wait(60) for each in pair) == [0, 2]
    assert small.state().name == "finished"


def test_row_10_who_only_reads_the_lock_file_is_no_worker(small) -> None:
    child = small.start_and_wait("run", "--workers", "1")
    worker = psutil.Process(child.pid).children()[0]
    child.kill()
    child.wait()
    with (
        small.paths().lock.open() as opened,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=opened.fileno(), pass_fds=[opened.fileno()]) as reader,
    ):
        assert small.look()[1].orphans == (worker.pid,)
        assert small.start("run", "--mode", "resume", "--steps", "3").wait(60) == 0
        assert reader.poll() is None
        reader.stdin.close()


def test_row_11_a_dead_worker_fails_the_run_with_its_reason(small) -> None:
    child = small.start_and_wait("run", "--loader-workers", "1")
    worker = wait_for(lambda: psutil.Process(child.pid).children(), 30)[0]
    worker.kill()
    assert child.wait(30) == 1
    state = small.state()
    assert state.name == "failed"
    assert f"DataLoader worker (pid {worker.pid}) is killed by signal" in state.reason.replace("(pid(s) ", "(pid ")


def test_row_14_killed_inside_a_save_the_checkpoint_is_absent_and_the_earlier_one_stands(small) -> None:
    child = small.start_and_wait("run", "--save-every", "3", "--save-seconds", "1.5")
    assert wait_for(lambda: [step for step, _ in small.paths().checkpoints()] == [3], 30)
    assert wait_for(lambda: small.paths().staging(6).exists(), 30)
    child.kill()
    child.wait()
    assert [(c.step, c.complete) for c in list_checkpoints(small.paths())] == [(3, True)]
    again = small.start("run", "--mode", "resume", "--steps", "1")
    assert again.wait(30) == 0
    assert small.paths().leftovers() == []


def test_row_15_of_two_runs_started_at_once_one_is_refused(small) -> None:
    pair = [small.start("run", "--steps", "40"), small.start("run", "--steps", "40")]
    codes = sorted(child.wait(60) for child in pair)
    assert codes == [0, 2]


def test_row_15_a_live_run_refuses_even_overwriting(small) -> None:
    small.start_and_wait()
    second = small.start("run", "--mode", "overwrite")
    said = second.communicate(timeout=30)[0]
    assert second.returncode == 2
    assert "is alive in" in said
    assert small.state().name == "running"


def test_row_15_a_finished_run_needs_an_explicit_word(small) -> None:
    assert small.start("run", "--steps", "2", "--adapter", "weights").wait(30) == 0
    assert small.paths().adapter_weights.read_bytes() == b"weights"
    foreign = small.paths().root / "notes.txt"
    foreign.write_text("mine")
    refused = small.start("run", "--steps", "2")
    said = refused.communicate(timeout=30)[0]
    assert refused.returncode == 2
    assert "holds the finished run" in said
    assert small.start("run", "--steps", "2", "--mode", "overwrite").wait(30) == 0
    assert foreign.read_text() == "mine"
    assert not small.paths().adapter_weights.exists()


def test_row_16_a_stop_while_loading_ends_at_once(small) -> None:
    child = small.start("run", "--load-seconds", "600")
    assert wait_for(lambda: (beat := read_heartbeat(small.paths())) and beat.text("phase") == "loading model", 30)
    stopped = stop_run(small.paths(), SILENT, timeout=10)
    assert (stopped.state, stopped.forced) == ("stopped", False)
    assert child.wait(5) == 75
    assert stopped.reason == "while loading model"


def test_row_18_a_run_that_does_not_obey_is_killed_after_the_timeout(small) -> None:
    small.start_and_wait("run", "--deaf")
    stopped = stop_run(small.paths(), SILENT, timeout=0.5)
    assert (stopped.forced, stopped.state) == (True, "killed")
    assert "before it had carried out a stop" in stopped.reason


def test_a_stop_saves_and_a_stop_without_saving_does_not(small) -> None:
    small.start_and_wait("saves")
    stopped = stop_run(small.paths("saves"), SILENT, timeout=30)
    assert (stopped.state, stopped.forced) == ("stopped", False)
    assert stopped.checkpoint == str(newest_complete(small.paths("saves"))[0].path)
    small.start_and_wait("saves-not")
    stopped = stop_run(small.paths("saves-not"), SILENT, timeout=30, save=False)
    assert (stopped.state, stopped.checkpoint) == ("stopped", None)


def test_insisting_leaves_a_save(small) -> None:
    child = small.start_and_wait("run", "--save-seconds", "600")
    os.kill(child.pid, signal.SIGTERM)
    assert wait_for(lambda: any(small.paths().root.glob(".checkpoint-*")), 10)
    assert small.state().name == "stopping"
    stopped = stop_run(small.paths(), SILENT, timeout=20, force=True)
    assert (stopped.state, stopped.forced, stopped.checkpoint) == ("stopped", False, None)
    assert list(small.paths().root.glob(".checkpoint-*")) == []


def test_a_second_ctrl_c_interrupts(small) -> None:
    child = small.start_and_wait("run", "--save-seconds", "600")
    os.kill(child.pid, signal.SIGINT)
    time.sleep(0.6)
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(10) == 130
    state = small.state()
    assert (state.name, state.reason) == (
        "interrupted", "interrupted a second time, without saving; it has no checkpoint yet",
    )  # fmt: skip


def test_a_suspended_run_is_stale_and_can_be_stopped(small) -> None:
    child = small.start_and_wait()
    os.kill(child.pid, signal.SIGSTOP)
    assert wait_for(lambda: small.state().name == "stale", 5)
    assert "kill -CONT" in small.state().reason
    assert stop_run(small.paths(), SILENT, timeout=10).state == "stopped"


def test_a_silence_far_beyond_its_own_pace_is_stale(small) -> None:
    child = small.start_and_wait()
    beat = read_json(small.paths().heartbeat)
    os.kill(child.pid, signal.SIGSTOP)  # so that it does not write another
    silent = {"monotonic": beat["monotonic"] - 3600, "pace_seconds": 0.1}
    write_json_atomically(small.paths().heartbeat, beat | silent)
    record, liveness = read_record(small.paths()), small.look()[1]
    heartbeat = read_heartbeat(small.paths())
    assert heartbeat.age_seconds > heartbeat.stale_after_seconds == 60
    os.kill(child.pid, signal.SIGCONT)
    assert record is not None
    assert liveness.alive


def test_row_20_durations_do_not_follow_the_wall_clock(small, monkeypatch) -> None:
    small.start_and_wait()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 86_400)
    status = read_status(small.paths())
    assert status.state == "running"
    assert status.elapsed_seconds < 60
    assert status.heartbeat_age_seconds < 30


def test_row_22_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            write_json_atomically(path, {"number": number, "filler": "x" * (number % 5000)}, durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(path.exists, 5)
    read = [read_json(path) for _ in range(3000)]
    over.set()
    writer.join()
    assert all(value is not None and len(value["filler"]) == value["number"] % 5000 for value in read)


def test_a_heartbeat_is_written_at_most_once_a_second(small) -> None:
    small.start_and_wait("run", "--step-seconds", "0.001")
    seen = set()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        seen.add(read_json(small.paths().heartbeat)["monotonic"])
    times = sorted(seen)
    assert len(times) >= 2
    assert min(b - a for a, b in pairwise(times)) > 0.99


def test_a_bug_is_recorded_with_its_reason_and_its_traceback_kept(small) -> None:
    child = small.start("run", "--fail", "no such colour")
    assert child.wait(30) == 1
    state = small.state()
    assert state.name == "failed"
    assert state.reason.startswith("ValueError: no such colour (small_run.py:")
    assert "Traceback" in small.paths().log.read_text()


def test_the_folder_and_its_files_are_private(small) -> None:
    assert small.start("run", "--steps", "4", "--save-every", "2").wait(30) == 0
    everything = [small.paths().root, *small.paths().root.rglob("*")]
    assert len(everything) > 8
    assert [path for path in everything if path.stat().st_mode & 0o077] == []
