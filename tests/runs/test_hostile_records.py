"""Whatever stands in a run folder's files: no command crashes, hangs or signals anybody."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movielora.errors import MovieloraError, NoLiveRunError
from movielora.progress import SILENT
from movielora.runs.checkpoints import list_checkpoints
from movielora.runs.lookup.find import find_run, list_runs
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.runs.status.hints import hints
from movielora.runs.status.status import read_status
from movielora.runs.stopping import stop_run
from movielora.storage.lock import FolderLock
from movielora.storage.process import boot_id, identity_from

_HUGE = 10**400
_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, _HUGE, 1.5, "x", "1", [], [1], {}, {"a": 1}, float("nan"), float("inf"),
    "\x1b[2J\x07\n", "../" * 50, "\ud800", "x" * 100_000,
]  # fmt: skip
_KEYS = [
    "run_id", "name", "argv", "cwd", "config", "host", "pid", "process_started", "start_ticks", "boot_id", "pgid",
    "started", "detached", "attempt", "attempts", "ended", "memory_events", "out_of_memory_kills", "schema",
]  # fmt: skip


def folder_with(tmp_path: Path, record: object, **files: object) -> RunPaths:
    paths = RunPaths(tmp_path / "output" / "run")
    paths.root.mkdir(parents=True, exist_ok=True)
    paths.record.write_text(json.dumps(record))
    for name, value in files.items():
        (paths.root / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return paths


def look_from_every_side(paths: RunPaths) -> None:
    status = read_status(paths)
    json.dumps(status.to_json(), allow_nan=False)
    hints(status)
    list_runs(paths.root.parent)
    with pytest.raises(MovieloraError):
        stop_run(paths, SILENT, timeout=0.1)


@pytest.mark.parametrize("value", _VALUES, ids=lambda value: repr(value)[:20])
def test_any_value_in_any_key_of_the_record(tmp_path: Path, value: object) -> None:
    paths = folder_with(
        tmp_path, dict.fromkeys(_KEYS, value), heartbeat=dict.fromkeys([*_KEYS, "phase", "step"], value)
    )
    look_from_every_side(paths)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=st.dictionaries(st.sampled_from(_KEYS), _JSON), beat=st.dictionaries(st.text(max_size=12), _JSON))
def test_invented_records(tmp_path: Path, record: dict[str, Any], beat: dict[str, Any]) -> None:
    paths = folder_with(tmp_path, record, heartbeat=beat, stop=beat)
    (paths.root / "metrics.jsonl").write_text(json.dumps(beat) + "\n{half")
    read_status(paths, measure=False).to_json()


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'"text"', b"[" * 100_000, b"1" * 10_000, b"null"])
def test_a_record_that_is_no_object(tmp_path: Path, raw: bytes) -> None:
    paths = folder_with(tmp_path, {})
    for path in (paths.record, paths.heartbeat, paths.lock, paths.stop_request, paths.metrics):
        path.write_bytes(raw)
    look_from_every_side(paths)


def test_a_pipe_by_the_records_name_does_not_hang(tmp_path: Path) -> None:
    paths = folder_with(tmp_path, {})
    for path in (paths.record, paths.heartbeat, paths.lock, paths.metrics, paths.log):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert read_status(paths).alive is False


@pytest.mark.parametrize(
    "pid",
    [1, 0, -1, os.getpid(), 2**22 + 1, _HUGE, "1", None, True, 1.5],
    ids=["1", "0", "-1", "own", "beyond", "huge", "text", "none", "true", "fraction"],
)
def test_pid_1_and_other_numbers_are_never_signalled(tmp_path: Path, pid: object) -> None:
    told = {"pid": pid, "process_started": 0.0, "boot_id": boot_id(), "run_id": "x"}
    paths = folder_with(tmp_path, told)
    paths.lock.write_text(json.dumps(told))
    with pytest.raises(NoLiveRunError):
        stop_run(paths, SILENT, timeout=0.1)
    assert identity_from({**told, "pid": 1}) is None


def test_a_held_lock_that_names_a_stranger_draws_no_signal_on_it(tmp_path: Path) -> None:
    """The lock is held (by this process), but record and lock file name a live `sleep`, start time and all."""
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        ticks = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
        told = {
            "pid": stranger.pid, "process_started": psutil.Process(stranger.pid).create_time(),
            "start_ticks": ticks, "boot_id": boot_id(), "run_id": "x", "name": "x",
        }  # fmt: skip
        paths = folder_with(tmp_path, told)
        held = FolderLock.acquire(paths.lock)
        paths.lock.write_text(json.dumps(told))
        for force in (False, True):
            with pytest.raises(MovieloraError):
                stop_run(paths, SILENT, timeout=0.1, force=force)
        assert stranger.poll() is None
        held.release()
    finally:
        stranger.kill()
        stranger.wait()


def test_escape_sequences_do_not_reach_the_terminal(tmp_path: Path) -> None:
    paths = folder_with(tmp_path, {"name": "\x1b[31mred", "ended": {"state": "failed", "reason": "\x1b]0;title\x07"}})
    told = read_status(paths)
    assert (told.run, told.reason) == ("[31mred", "]0;title")


def test_a_manifest_names_files_of_its_checkpoint_only(tmp_path: Path) -> None:
    paths = folder_with(tmp_path, {})
    paths.checkpoint(5).mkdir()
    for name in ("../../run.json", "/etc/passwd", "x" * 5000, ""):
        manifest = {"files": {name: {"size": 1, "sha256": "0"}}}
        (paths.checkpoint(5) / "manifest.json").write_text(json.dumps(manifest))
        assert not list_checkpoints(paths, deep=True)[0].complete


def test_a_name_cannot_leave_the_output_folder(tmp_path: Path) -> None:
    root = tmp_path / "output"
    folder_with(tmp_path, {"name": "inside"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.json").write_text(json.dumps({"name": "outside"}))
    (root / "link").symlink_to(outside)
    assert [paths.root.name for paths in list_runs(root)] == ["run"]
    assert find_run("inside", root).root == root / "run"
    for name in ("outside", "link"):
        with pytest.raises(NoLiveRunError):
            find_run(name, root)
    with pytest.raises(NoLiveRunError):
        find_run("../no-such", root)


def test_a_record_is_read_as_what_it_should_be(tmp_path: Path) -> None:
    paths = folder_with(tmp_path, {"attempt": "7", "argv": ["a", 1, "b"], "detached": "yes", "started": _HUGE})
    record = read_record(paths)
    assert (record.attempt, record.argv, record.detached, record.started) == (1, ["a", "b"], False, None)
