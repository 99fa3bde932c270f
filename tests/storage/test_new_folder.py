"""A folder that several processes make at once is whole in the end, whatever stood there before."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from movielora.storage.new_folder import new_folder

FILES = ("one", "two")


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


@pytest.mark.parametrize("damaged", [False, True])
def test_racing_makers_all_end_well(tmp_path: Path, damaged: bool) -> None:
    processes = multiprocessing.get_context("fork")

    def make(folder: Path, gate: Any) -> None:
        with new_folder(folder, _is_whole) as staging:
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


def test_a_place_that_is_at_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file stands here", encoding="utf-8")
    with pytest.raises(OSError, match="made"), new_folder(tmp_path / "made", _is_whole) as staging:
        (staging / FILES[0]).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
