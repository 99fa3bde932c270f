"""`dataset_info.json` beside datasets: written by several processes and through links; nobody's entry is replaced."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.dataset.find import find_dataset
from movielora.dataset.info.registry import read_entries, register_dataset
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError, OutputError
from movielora.preparation.prepare import prepare
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens
from movielora.storage.lock import FolderLock

HISTORY = PrepareOptions(history_len=3)
OWN = {"file_name": "mine.json", "columns": {"prompt": "q", "response": "a"}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_synthetic_movielens(folder, SyntheticSize(users=6, films=40, least_ratings=20, mean_ratings=25))
    return folder


def start(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 0, said


def write_info(folder: Path, entries: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    return folder / "dataset_info.json"


def test_six_preparations_at_once_are_all_listed(source: Path, tmp_path: Path) -> None:
    info = write_info(tmp_path / "data", {"mine": OWN})
    words = ("-m", "movielora", "prepare", "--source", source, "--history-len", "3", "--output-dir")
    for process in [start(*words, tmp_path / "data" / f"set{number}") for number in range(6)]:
        finish(process)
    assert sorted(json.loads(info.read_text())) == ["mine", *(f"set{number}_train" for number in range(6))]
    assert sorted(path.name for path in info.parent.iterdir()) == [info.name, *(f"set{number}" for number in range(6))]


def test_no_entry_is_lost_among_processes_that_write_all_the_time(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from movielora.dataset.info.registry import register_dataset\n"
        "for number in range(25): register_dataset(Path(sys.argv[1]) / f'{sys.argv[2]}-{number}', 'json')"
    )
    for process in [start("-c", program, tmp_path, str(writer)) for writer in range(4)]:
        finish(process)
    wanted = {f"{writer}-{number}_train" for writer in range(4) for number in range(25)}
    assert set(json.loads((tmp_path / "dataset_info.json").read_text())) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_what_a_link_leads_to_is_written_and_the_link_stays(source: Path, tmp_path: Path) -> None:
    shared = write_info(tmp_path / "shared", {"mine": OWN})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").symlink_to("../shared/dataset_info.json")
    assert prepare(source, tmp_path / "data" / "set", HISTORY).dataset == "set_train"
    assert (tmp_path / "data" / "dataset_info.json").is_symlink()
    assert list(json.loads(shared.read_text())) == ["mine", "set_train"]
    assert [path.name for path in shared.parent.iterdir()] == ["dataset_info.json"]


def test_a_link_that_leads_nowhere_is_refused_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(OutputError, match=r"is a link to .*gone.json, which is not there"):
        prepare(source, tmp_path / "set", HISTORY)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


@pytest.mark.parametrize("export", ["json", "none"])
def test_an_entry_of_that_name_that_the_user_wrote_stays_and_the_dataset_gets_another(
    source: Path, tmp_path: Path, export: Any
) -> None:
    info = write_info(tmp_path / "data", {"set_train": OWN})
    (tmp_path / "data" / "mine.json").write_text("[]")
    words = ("prepare", "--source", source, "--output-dir", "data/set", "--history-len", "3", "--export", export)
    for _ in range(2):  # the second finds nothing to do, and names it alike
        command = [sys.executable, "-m", "movielora", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "dataset_info.json has an entry `set_train` that movielora did not write: it stays" in done.stderr
        assert "In a config: dataset: set\n" in done.stdout
        assert json.loads(info.read_text()) == {"set_train": OWN}
    # the name that is printed means the new dataset
    files = find_dataset(resolve_config(None, [f"dataset_dir={tmp_path / 'data'}", "dataset=set"]))
    assert files.train == tmp_path / "data" / "set" / "train.json"


def test_two_entries_that_leave_no_name_are_refused_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    info = write_info(tmp_path, {"set_train": OWN, "set": OWN})
    with pytest.raises(OutputError, match="has entries `set_train` and `set` that movielora did not write"):
        prepare(source, tmp_path / "set", HISTORY)
    assert list(tmp_path.iterdir()) == [info]


def test_an_entry_of_its_own_follows_the_export(tmp_path: Path) -> None:
    info = write_info(tmp_path, {"mine": OWN})
    for form, named in (("json", "set/train.json"), ("jsonl", "set/train.jsonl"), ("jsonl", "set/train.jsonl")):
        assert register_dataset(tmp_path / "set", form) == "set_train"
        assert json.loads(info.read_text())["set_train"]["file_name"] == named
    register_dataset(tmp_path / "set", "none")
    assert json.loads(info.read_text()) == {"mine": OWN}


def test_other_entries_and_the_permissions_of_the_file_stay_as_they_are(tmp_path: Path) -> None:
    strange = '{"b": {"half": "\\ud83c", "many": 1e999, "nan": NaN, "ö": null}, "a": []}'
    info = tmp_path / "dataset_info.json"
    info.write_text(strange)
    info.chmod(0o640)
    register_dataset(tmp_path / "set", "json")
    now = json.loads(info.read_text())
    del now["set_train"]
    assert json.dumps(now) == json.dumps(json.loads(strange))
    assert stat.S_IMODE(info.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_is_read_only_is_not_replaced(source: Path, tmp_path: Path) -> None:
    write_info(tmp_path, {}).chmod(0o444)
    with pytest.raises(OutputError, match="it is read-only"):
        prepare(source, tmp_path / "set", HISTORY)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_a_lock_that_is_never_released_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movielora.storage.lock._EXCLUSIVE_SECONDS", 0.1)
    lock = FolderLock.acquire(tmp_path / ".dataset_info.json.lock")
    assert lock is not None
    with pytest.raises(OutputError, match=r"another process holds .*dataset_info.json.lock") as caught:
        register_dataset(tmp_path / "set", "json")
    assert "run the same command again" in caught.value.next_step
    lock.release()
    register_dataset(tmp_path / "set", "json")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_a_name_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"x": {"file_name": "a"}, "y": {}, "x": {"file_name": "b"}}')
    with pytest.raises(DataError, match="holds the name `x` twice in one object"):
        read_entries(info)


def test_a_pipe_of_that_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dataset_info.json")
    with pytest.raises(DataError, match="is not a file"):
        register_dataset(tmp_path / "set", "json")
