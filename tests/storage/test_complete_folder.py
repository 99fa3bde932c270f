"""A folder that several processes make at once is whole in the end, whatever stood there before."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from movielora.storage.complete_folder import OWNER, complete_folder, make_working_folder, publish, replace

FILES = ("one", "two")


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


@pytest.mark.parametrize("damaged", [False, True])
def test_racing_makers_all_end_well(tmp_path: Path, damaged: bool) -> None:
    processes = multiprocessing.get_context("fork")

    def make(folder: Path, gate: Any) -> None:
        with complete_folder(folder, _is_whole) as staging:
            for name in FILES:
                (staging / name).touch()
            gate.wait(timeout=60)

    for number in range(25):
        root = tmp_path / str(number)
        folder = root / "made"
        if damaged:
            folder.mkdir(parents=True)
            (folder / FILES[0]).touch()
        gate = processes.Barrier(3)
        makers: list[Any] = [processes.Process(target=make, args=(folder, gate)) for _ in range(3)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join(timeout=60)
        assert [maker.exitcode for maker in makers] == [0, 0, 0]
        assert _is_whole(folder)
        assert [path.name for path in root.iterdir()] == ["made"]


def test_a_place_that_is_at_fault_is_reported(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file stands here", encoding="utf-8")
    with pytest.raises(OSError, match="made"), complete_folder(tmp_path / "made", _is_whole) as staging:
        (staging / FILES[0]).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    with complete_folder(tmp_path / "made", _is_whole) as working:
        (working / "one").touch()
        assert not (tmp_path / "made").exists()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["one"]
    with pytest.raises(ZeroDivisionError), complete_folder(tmp_path / "other", _is_whole):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def _die_half_way(folder: Path) -> None:
    with complete_folder(folder, _is_whole) as working:
        (working / "one").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """A real process, killed for real: its working folder stays, signed, until somebody makes the same folder."""
    killed = multiprocessing.get_context("spawn").Process(target=_die_half_way, args=(tmp_path / "made",))
    killed.start()
    killed.join(timeout=60)
    assert killed.exitcode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left.name.startswith(".made.partial-")
    assert sorted(path.name for path in left.iterdir()) == [OWNER, "one"]
    with complete_folder(tmp_path / "made", _is_whole) as working:
        (working / "two").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_publishing_never_replaces_files(tmp_path: Path) -> None:
    make_working_folder(tmp_path / "working")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(OSError, match="not empty"):
        publish(tmp_path / "working", tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


def test_what_is_replaced_waits_until_the_new_folder_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two renames (here: the second rename fails), the earlier folder is whole where it waits."""
    make_working_folder(tmp_path / "working")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "earlier").touch()
    real, tried = Path.rename, []

    def rename(source: Path, target: Path) -> Path:
        tried.append(source.name)
        if tried.count("working") > 1:
            raise OSError("the disk has gone")
        return real(source, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="has gone"):
        replace(tmp_path / "working", tmp_path / "target", aside=tmp_path / "aside")
    assert [path.name for path in (tmp_path / "aside").iterdir()] == ["earlier"]
    assert (tmp_path / "working").is_dir()
