"""Whose working folder it is: only those of processes that are gone are removed, and in doubt none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from movielora.storage.complete_folder import make_working_folder, remove_abandoned, remove_signature, working_path
from movielora.storage.process import identity_from

# Another start than any process of this boot has.
GONE = {"start_ticks": 1, "process_started": 1.0}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = working_path(tmp_path, "set")
    make_working_folder(folder)
    return folder


def signed_anew(folder: Path, **change: Any) -> None:
    path = folder / ".owner.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_living_process_keeps_its_folder(mine: Path) -> None:
    assert remove_abandoned([mine.parent], "set") == []
    assert mine.is_dir()


def test_each_folder_has_a_name_of_its_own_and_anyone_can_read_whose_it_is(mine: Path) -> None:
    assert working_path(mine.parent, "set") != working_path(mine.parent, "set")
    assert [(path.name, path.stat().st_mode & 0o777) for path in mine.iterdir()] == [(".owner.json", 0o644)]
    with pytest.raises(FileExistsError):
        make_working_folder(mine)
    assert (mine / ".owner.json").is_file()


def test_what_cannot_be_signed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr("movielora.storage.complete_folder.write_json_atomically", full)
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system says
        make_working_folder(working_path(tmp_path, "set"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [GONE, {"boot_id": "another boot"}, {"pid": 1, "boot_id": "another boot"}])
def test_a_pid_that_another_process_has_now_protects_nothing(mine: Path, change: dict[str, Any]) -> None:
    (mine / "train.json").write_text("[")
    signed_anew(mine, **change)
    assert remove_abandoned([mine.parent, mine.parent / "gone"], "set") == [mine]
    assert not mine.exists()


def test_a_folder_of_another_machine_stays(mine: Path) -> None:
    signed_anew(mine, host="another machine", boot_id="another boot")
    assert remove_abandoned([mine.parent], "set") == []


def test_a_container_s_only_program_keeps_its_folder(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its PID is 1, which no signal may ever be sent to, so that nothing else takes it for an identity."""
    signed_anew(mine, pid=1)
    assert identity_from(json.loads((mine / ".owner.json").read_text())) is None
    monkeypatch.setattr("movielora.storage.complete_folder.is_alive", lambda owner: owner.pid == 1)
    assert remove_abandoned([mine.parent], "set") == []


@pytest.mark.parametrize("signature", [None, "", "{}", '{"pid": 4194304}', "not JSON"])
def test_in_doubt_a_folder_stays(mine: Path, signature: str | None) -> None:
    remove_signature(mine)
    assert list(mine.iterdir()) == []
    if signature is not None:
        (mine / ".owner.json").write_text(signature)
    assert remove_abandoned([mine.parent], "set") == []
    assert mine.is_dir()


def test_a_parent_that_cannot_be_listed_is_passed_over(mine: Path, tmp_path: Path) -> None:
    signed_anew(mine, **GONE)
    (tmp_path / "file").touch()
    assert remove_abandoned([tmp_path / "file", tmp_path / "gone", mine.parent], "set") == [mine]


def test_only_folders_of_that_name_are_looked_at(tmp_path: Path) -> None:
    gone = {"pid": 4194304, "process_started": 1.0, "boot_id": "another boot", "host": os.uname().nodename}
    names = (".other.partial-9-0a", ".set.partial-x-0a", "set.partial-9-0a", ".set.partial-9-0a.old", ".set.partial-9")
    for name in (*names, "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".owner.json").write_text(json.dumps(gone))
    (tmp_path / ".set.partial-9-0b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".set.partial-9-0c").touch()
    assert remove_abandoned([tmp_path], "set") == []
    assert len(list(tmp_path.iterdir())) == len(names) + 3
