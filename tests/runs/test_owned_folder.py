"""Whose working folder it is: only those of processes that are gone are removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.runs.owned_folder import disown, make_owned, owned_path, remove_abandoned


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = owned_path(tmp_path, "set")
    make_owned(folder)
    return folder


def signed_anew(folder: Path, **change: Any) -> None:
    path = folder / ".owner.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_living_process_keeps_its_folder(mine: Path) -> None:
    assert remove_abandoned([mine.parent], "set") == []
    assert mine.is_dir()


@pytest.mark.parametrize("change", [{"start_ticks": 1, "process_started": 1.0}, {"boot_id": "another boot"}])
def test_a_pid_that_another_process_has_now_protects_nothing(mine: Path, change: dict[str, Any]) -> None:
    (mine / "train.json").write_text("[")
    signed_anew(mine, **change)
    assert remove_abandoned([mine.parent, mine.parent / "gone"], "set") == [mine]
    assert not mine.exists()


def test_a_folder_of_another_machine_stays(mine: Path) -> None:
    signed_anew(mine, host="another machine", boot_id="another boot")
    assert remove_abandoned([mine.parent], "set") == []


def test_without_a_signature_the_pid_decides(mine: Path) -> None:
    disown(mine)
    assert list(mine.iterdir()) == []
    gone = mine.with_name(".set.partial-4194304")  # above what Linux gives out
    gone.mkdir()
    assert remove_abandoned([mine.parent], "set") == [gone]
    assert mine.is_dir()


def test_only_folders_of_that_name_are_looked_at(tmp_path: Path) -> None:
    names = (".other.partial-4194304", ".set.partial-x", "set.partial-4194304", ".set.partial-4194304.old")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".set.partial-4194304").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".set.partial-4194303").touch()
    assert remove_abandoned([tmp_path], "set") == []
    assert len(list(tmp_path.iterdir())) == len(names) + 3
