"""`movielora prepare` from the command line: what it writes, prints, refuses and leaves behind."""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from movielora.dataset.dataset import Dataset
from movielora.dataset.find import prepared_split
from movielora.dataset.meta import remake_command
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError, OutputError
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

FILES = ["eval.json", "films.parquet", "interactions.parquet", "meta.json", "test_raw.jsonl", "train.json"]


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movielora", "prepare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def everything_below(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_synthetic_movielens(folder, SyntheticSize(users=20, films=80, mean_ratings=40))
    return folder


def test_json_is_one_object_and_nothing_else_on_stdout(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data" / "synthetic"
    done = run("--source", source, "--output-dir", out, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert list(said) == [
        "output_dir",
        "counts",
        "positive_rate",
        "users",
        "users_dropped",
        "movies",
        "ratings_repeated_dropped",
        "split",
        "history_len",
        "rating_threshold",
        "nothing_to_do",
    ]
    assert (said["output_dir"], said["nothing_to_do"]) == (str(out), False)
    assert (said["split"], said["history_len"], said["rating_threshold"]) == ("user-timeline", 15, 4.0)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert said["counts"]["train"] == len(json.loads((out / "train.json").read_text()))
    assert "Writing examples" in done.stderr


def test_the_page_fits_80_columns_and_names_the_next_command(source: Path, tmp_path: Path) -> None:
    done = run("--source", source, "--output-dir", "data/[red]set", "--history-len", "25", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.rstrip().split("\n")[:-1])) <= 80
    assert "data/[red]set" in done.stdout
    assert "ratings were left out" in done.stdout
    assert "Next: movielora audit --config" in done.stdout.rstrip().split("\n")[-1]


@pytest.mark.parametrize("place", ["data/mine", "my data/mine", "mine", "../beside/mine"])
def test_the_next_command_can_be_pasted_wherever_the_dataset_is(source: Path, tmp_path: Path, place: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    done = run("--source", source, "--output-dir", place, cwd=here)
    command = shlex.split(done.stdout.rstrip().rpartition("Next: movielora ")[2])
    asked = [sys.executable, "-m", "movielora", *command, "--set", "model_name_or_path=tiny", "--json"]
    audit = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120, cwd=here)
    assert audit.returncode == 0, audit.stderr


def test_the_entry_is_in_the_llama_factory_form_and_others_stay(source: Path, tmp_path: Path) -> None:
    info = tmp_path / "data" / "dataset_info.json"
    info.parent.mkdir()
    others = {"mine": {"file_name": "mine.json"}}
    info.write_text(json.dumps(others))
    assert run("--source", source, "--output-dir", tmp_path / "data" / "set").returncode == 0
    assert json.loads(info.read_text()) == {
        "mine": others["mine"],
        "set_train": {
            "file_name": "set/train.json",
            "file_name_eval": "set/eval.json",
            "formatting": "alpaca",
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "response": "output",
                "system": "system",
                "history": "history",
            },
        },
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1,\n oops}', "dataset_info.json, line 2: this is not JSON"),
        ("[]", "dataset_info.json holds a JSON list"),
    ],
)
def test_a_dataset_info_that_is_no_json_object_is_refused_and_kept(
    source: Path, tmp_path: Path, text: str, wanted: str
) -> None:
    (tmp_path / "dataset_info.json").write_text(text)
    done = run("--source", source, "--output-dir", tmp_path / "set")
    assert done.returncode == 2
    assert wanted in done.stderr
    assert everything_below(tmp_path) == {"dataset_info.json": text.encode()}


def test_another_preparation_replaces_the_dataset_and_keeps_foreign_files(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    run("--source", source, "--output-dir", out)
    (out / "notes.txt").write_text("mine")
    before = (out / "test_raw.jsonl").read_bytes()
    words = ("--source", source, "--output-dir", out, "--history-len", "5", "--export", "jsonl")
    everything = everything_below(out)
    refused = run(*words)
    assert refused.returncode == 2
    assert f"{out} was prepared with other settings: --history-len 15 and not 5, --export json" in refused.stderr
    assert "next:  --overwrite replaces it" in refused.stderr
    assert everything_below(out) == everything
    assert run(*words, "--overwrite").returncode == 0
    jsonl = [name.replace(".json", ".jsonl") if name in ("train.json", "eval.json") else name for name in FILES]
    assert sorted(path.name for path in out.iterdir()) == sorted([*jsonl, "notes.txt"])
    assert (out / "test_raw.jsonl").read_bytes() != before
    assert json.loads((out / "meta.json").read_text())["history_len"] == 5


def test_the_same_again_is_nothing_to_do(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    words = ("--source", source, "--output-dir", out)
    run(*words)
    (tmp_path / "dataset_info.json").write_text('{"set_train": {"file_name": "mine.json"}}')
    before, times = everything_below(tmp_path), [path.stat().st_mtime_ns for path in (out, *sorted(out.iterdir()))]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert f"Nothing to do: {out} holds the dataset of these ratings and settings already." in done.stdout
    assert "Next: movielora audit" in done.stdout
    said = json.loads(run(*words, "--export", "json", "--json").stdout)  # what is not given means json here
    assert (said["nothing_to_do"], said["counts"]) == (True, json.loads((out / "meta.json").read_text())["counts"])
    assert everything_below(tmp_path) == before
    assert [path.stat().st_mtime_ns for path in (out, *sorted(out.iterdir()))] == times
    (out / "train.json").unlink()
    (tmp_path / "dataset_info.json").unlink()
    assert run(*words).returncode == 0  # what is missing is made again, without --overwrite
    assert (out / "train.json").read_bytes() == before["set/train.json"]
    (tmp_path / "dataset_info.json").unlink()
    assert run(*words).returncode == 0
    assert "set_train" in json.loads((tmp_path / "dataset_info.json").read_text())


def test_titles_are_written_as_asked_and_a_dataset_of_an_earlier_version_has_them_as_given(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    words = ("--source", source, "--output-dir", out)
    for titles, first, second in (("natural", "The ", ""), ("as_given", "", ", The")):
        done = run(*words, "--titles", titles, "--overwrite")
        assert done.returncode == 0, done.stderr
        rows = json.loads((out / "train.json").read_text(encoding="utf-8"))
        lines = "\n".join(row["input"] for row in rows)
        assert re.search(rf"^\d+\. {first}[A-Z]\w+ [A-Z]\w+{second} \(\d{{4}}\): ", lines, re.MULTILINE)
        assert (", The (" in lines) == (titles == "as_given")
        meta = json.loads((out / "meta.json").read_text(encoding="utf-8"))
        assert meta["titles"] == meta["options"]["titles"] == titles
    del meta["titles"], meta["options"]["titles"]
    (out / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    refused = run(*words)
    assert refused.returncode == 2
    assert f"{out} was prepared with other settings: --titles as_given and not natural." in refused.stderr
    assert "Nothing to do" in run(*words, "--titles", "as_given").stdout
    assert remake_command(meta, out).endswith(" --titles as_given")
    wrong = run(*words, "--titles", "shouted")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_a_zip_of_the_same_ratings_is_the_same_source_and_other_ratings_are_refused(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    run("--source", source, "--output-dir", out)
    packed = shutil.make_archive(str(tmp_path / "ratings"), "zip", source)
    assert "Nothing to do" in run("--source", packed, "--output-dir", out).stdout
    other = tmp_path / "other"
    shutil.copytree(source, other)
    with (other / "ratings.csv").open("a") as file:
        file.write("1,1,4.0,999999999\n")
    before = everything_below(out)
    done = run("--source", other, "--output-dir", out)
    assert done.returncode == 2
    assert f"{out} was prepared from other ratings than those of {other}." in done.stderr
    assert everything_below(out) == before
    assert run("--source", other, "--output-dir", out, "--overwrite").returncode == 0
    assert everything_below(out) != before


FOREIGN = {
    "train.json": "[]",
    "eval.jsonl": "{}",
    "test_raw.jsonl": "mine",
    "meta.json": '{"schema_version": 2, "name": "mine"}',
}


@pytest.mark.parametrize("more", [(), ("--export", "none"), ("--overwrite",)], ids=" ".join)
def test_a_folder_with_somebodys_own_files_is_refused_by_their_names(
    source: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    out = tmp_path / "set"
    out.mkdir()
    for name, text in FOREIGN.items():
        (out / name).write_text(text)
    (out / "movies.jsonl").write_text("mine")
    before = everything_below(tmp_path)
    done = run("--source", source, "--output-dir", out, *more)
    assert done.returncode == 2
    assert "never replaced: train.json, eval.jsonl, test_raw.jsonl, meta.json." in done.stderr
    assert "next:  Move them away" in done.stderr
    assert "Reading" not in done.stderr  # nothing was begun
    assert everything_below(tmp_path) == before
    for name in FOREIGN:
        (out / name).rename(tmp_path / name)
    assert run("--source", source, "--output-dir", out, *more).returncode == 0
    assert (out / "movies.jsonl").read_text() == "mine"


@pytest.mark.parametrize("more", [(), ("--history-len", "5", "--overwrite")], ids=" ".join)
def test_an_edited_export_and_a_file_beside_it_are_never_replaced(
    source: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    out = tmp_path / "set"
    run("--source", source, "--output-dir", out)
    with (out / "eval.json").open("a") as file:
        file.write(" ")
    (out / "train.jsonl").write_text("mine")
    (out / "films.parquet").rename(tmp_path / "films.parquet")
    (out / "films.parquet").symlink_to(tmp_path / "films.parquet")
    before = everything_below(tmp_path)
    done = run("--source", source, "--output-dir", out, *more)
    assert done.returncode == 2
    assert "never replaced: train.jsonl, eval.json (edited since), films.parquet (now a link)." in done.stderr
    assert everything_below(tmp_path) == before


def test_a_dataset_of_the_version_before_is_replaced_on_request_only(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "dataset_v1" / "small", out)
    before = everything_below(tmp_path)
    words = ("--source", source, "--output-dir", out)
    done = run(*words)
    assert done.returncode == 2
    assert f"{out} was prepared by an earlier movielora, without columns." in done.stderr
    assert everything_below(tmp_path) == before
    (out / "eval.json").write_text("edited")
    assert "never replaced: eval.json (edited since)." in run(*words, "--overwrite").stderr
    (out / "eval.json").write_bytes(before["small/eval.json"] or b"")
    assert run(*words, "--overwrite").returncode == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "movies.jsonl"])
    assert (out / "movies.jsonl").read_bytes() == before["small/movies.jsonl"]  # its meta.json does not list it


def test_a_file_that_is_edited_while_prepare_works_is_kept(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "set"
    prepare(source, out, PrepareOptions(), SILENT)
    real = importlib.import_module("movielora.preparation.prepare")._write_columns

    def edit(*arguments: Any) -> None:
        (out / "train.json").write_text("edited")
        real(*arguments)

    monkeypatch.setattr("movielora.preparation.prepare._write_columns", edit)
    before = everything_below(tmp_path) | {"set/train.json": b"edited"}
    with pytest.raises(OutputError, match=r"never replaced: train\.json \(edited since\)"):
        prepare(source, out, PrepareOptions(history_len=5), SILENT, overwrite=True)
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("others", [True, False], ids=["over an earlier one", "into an empty folder"])
def test_two_at_once_do_not_replace_each_other(source: Path, tmp_path: Path, monkeypatch: Any, others: bool) -> None:
    out = tmp_path / "set"
    if others:
        prepare(source, out, PrepareOptions(), SILENT)
    real = importlib.import_module("movielora.preparation.prepare")._write_columns
    faster: list[PrepareOptions] = [PrepareOptions(history_len=7)]

    def overtake(*arguments: Any) -> None:
        if faster:
            prepare(source, out, faster.pop(), SILENT, overwrite=True)
        real(*arguments)

    monkeypatch.setattr("movielora.preparation.prepare._write_columns", overtake)
    with pytest.raises(OutputError, match="Another process wrote a dataset"):
        prepare(source, out, PrepareOptions(history_len=5), SILENT, overwrite=True)
    assert json.loads((out / "meta.json").read_text())["history_len"] == 7
    assert sorted(path.name for path in out.iterdir()) == FILES


@pytest.mark.parametrize("moves", range(7))
def test_a_kill_between_any_two_moves_is_finished_by_the_next_prepare(source: Path, tmp_path: Path, moves: int) -> None:
    """The old dataset has an export, the new one does not; at no moment is an old file taken for an edited one."""
    out = tmp_path / "set"
    prepare(source, out, PrepareOptions(), SILENT)
    new = PrepareOptions(history_len=5, export="none")
    prepare(source, tmp_path / "new", new, SILENT)
    words = ("--source", str(source), "--output-dir", str(out), "--history-len", "5", "--export", "none")
    command = [sys.executable, "-c", KILLED_WHILE_MOVING, str(moves), "prepare", *words, "--overwrite"]
    killed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert killed.returncode == (-signal.SIGKILL if moves < 6 else 0), killed.stderr
    for path in out.glob("*.json"):
        if path.name != "meta.json" and (split := prepared_split(path)) is not None:
            assert not split.is_edited()
    done = run(*words, *(("--overwrite",) if moves == 0 else ()))
    assert done.returncode == 0, done.stderr
    assert ("Moved the rest of a dataset" in done.stderr) == (0 < moves < 6)
    if moves > 0:
        assert "Nothing to do" in done.stdout
    assert everything_below(out) == everything_below(tmp_path / "new")
    Dataset.open(out).verify()


# A `prepare` that dies before its n-th step of moving a dataset in: 2 columns, 3 old files removed, and meta.json.
KILLED_WHILE_MOVING = """
import os, signal, sys
from pathlib import Path
from movielora.cli import main
left = int(sys.argv.pop(1))
rename, unlink = Path.rename, Path.unlink
def step(do):
    def count(path, *arguments, **named):
        global left
        mine = path.name in ("interactions.parquet", "films.parquet", "meta.json") and do is rename
        if mine or (do is unlink and path.name in ("train.json", "eval.json", "test_raw.jsonl")):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return do(path, *arguments, **named)
    return count
Path.rename, Path.unlink = step(rename), step(unlink)
main()
"""


def test_a_link_that_leads_nowhere_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "set").symlink_to(tmp_path / "gone")
    for out in (tmp_path / "set", tmp_path / "set" / "deep"):
        done = run("--source", source, "--output-dir", out)
        assert done.returncode == 2
        assert f"{tmp_path / 'set'} is a link to {tmp_path / 'gone'}, which is not there." in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


BAD_LINES = {
    "1,2,x,5": "ratings.csv, line 3: the rating 'x' is not a number.",
    "1,2,nan,5": "ratings.csv, line 3: the rating 'nan' is not a number.",
    "1,2,6,5": "ratings.csv, line 3: the rating '6' is not between 0 and 5 stars.",
    "1,2,4,noon": "ratings.csv, line 3: the timestamp 'noon' is not a whole number.",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_ratings_end_with_2_one_sentence_and_no_folder(tmp_path: Path, line: str) -> None:
    (tmp_path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n1,1,4.0,4\n{line}\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A (1990),Drama\n")
    before = everything_below(tmp_path)
    done = run("--source", tmp_path, "--output-dir", tmp_path / "new" / "deep" / "set")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"error: {tmp_path}/{BAD_LINES[line]}" in done.stderr
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything_below(tmp_path) == before


def test_bad_requests_end_with_2(source: Path, tmp_path: Path) -> None:
    out = ("--output-dir", tmp_path / "set")
    for arguments, wanted in [
        ((), "Give either --source or --download."),
        (("--source", source, "--download", "ml-1m"), "Give either --source or --download."),
        (("--source", tmp_path / "none"), "does not exist."),
        (("--source", source, "--history-len", "0", "--val-ratio", "2"), "--history-len is 0"),
        (("--source", source, "--history-len", "500"), "No user has more than 500 ratings"),
        (("--source", source, "--max-per-user", "2"), "The split train would be empty"),
        (("--download", "ml-20m"), "ml-20m"),
    ]:
        done = run(*arguments, *out)
        assert done.returncode == 2, (arguments, done.stderr)
        assert wanted in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_made_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "set"):
        done = run("--source", source, "--output-dir", out)
        assert done.returncode == 2
        assert f"error: {out}" in done.stderr
    assert everything_below(tmp_path) == {"file": b"x"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_write_permission(source: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = run("--source", source, "--output-dir", tmp_path / "locked" / "set")
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("export", ["json", "none"])
def test_a_full_disk_leaves_the_earlier_dataset_as_it_was(source: Path, tmp_path: Path, export: str) -> None:
    out = tmp_path / "set"
    run("--source", source, "--output-dir", out)
    before = everything_below(tmp_path)

    room = 50_000 if export == "json" else 3_000

    def little_room() -> None:  # no file may grow beyond the room, which is what a full disk looks like
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    words = ("--source", source, "--output-dir", out, "--history-len", "3", "--export", export, "--overwrite")
    done = run(*words, preexec_fn=little_room)
    assert done.returncode == 2
    assert f"{out} cannot be written: File too large." in done.stderr
    assert everything_below(tmp_path) == before


# `prepare` that stands still, for ever, once the examples are written.
STANDING_STILL = """
import importlib, signal
from movielora.cli import main
importlib.import_module("movielora.preparation.prepare")._write_columns = lambda *_: signal.pause()
main()
"""


@contextmanager
def half_way(source: Path, target: Path, written: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `prepare` that has begun to write the file that the pattern `written` finds, and never ends by itself."""
    words = ["prepare", "--source", str(source), "--output-dir", str(target), "--seed", "5", "--overwrite"]
    command = [sys.executable, "-c", STANDING_STILL, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            while process.poll() is None and not list(target.parent.parent.glob(written)):
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def test_an_interruption_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with half_way(source, tmp_path / "d" / "set", "d/.set.partial-*/train.json") as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert everything_below(tmp_path) == {}


@pytest.mark.parametrize("again", [False, True], ids=["new", "over an earlier one"])
def test_what_a_killed_one_left_is_removed_and_told(source: Path, tmp_path: Path, again: bool) -> None:
    target = tmp_path / "d" / "set"
    if again:
        prepare(source, target, PrepareOptions(), SILENT)
    pattern = "d/set/.set.partial-*/train.json" if again else "d/.set.partial-*/train.json"
    with half_way(source, target, pattern) as process:
        process.send_signal(signal.SIGSTOP)  # it lives, and its folder is not touched
        living = run("--source", source, "--output-dir", target)
        assert "Removed" not in living.stderr
    [left] = tmp_path.glob("d/**/.set.partial-*")
    done = run("--source", source, "--output-dir", target, "--json", "--overwrite")
    assert f"Removed {left}: left by a `prepare` that was killed" in done.stderr
    json.loads(done.stdout)
    assert not left.exists()
    assert sorted(path.name for path in target.iterdir()) == FILES


def test_another_process_s_folder_is_never_touched(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    other = tmp_path / ".set.partial-1-00000000"
    other.mkdir()
    (other / "train.json").write_text("[")
    monkeypatch.setattr("movielora.dataset.folder.working_path", lambda *_: other)
    with pytest.raises(OutputError, match="File exists"):
        prepare(source, tmp_path / "set", PrepareOptions(), SILENT)
    assert (other / "train.json").read_text() == "["


def test_an_error_while_writing_is_not_taken_for_a_full_disk(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A bug is a traceback, and still leaves nothing behind."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("movielora.preparation.prepare._write_columns", fail)
    with pytest.raises(ZeroDivisionError):
        prepare(source, tmp_path / "a" / "set", PrepareOptions(), SILENT)
    assert everything_below(tmp_path) == {}


def test_one_kind_of_answer_alone_is_warned_of(source: Path, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text((source / "movies.csv").read_text())
    lines = (source / "ratings.csv").read_text().splitlines()
    same = [",".join([*line.split(",")[:2], "3.0", line.split(",")[3]]) for line in lines[1:]]
    (tmp_path / "ratings.csv").write_text("\n".join([lines[0], *same]))
    done = run("--source", tmp_path, "--output-dir", tmp_path / "set")
    assert done.returncode == 0
    assert "warning: Every train answer is No" in done.stderr


def test_a_link_to_a_dataset_folder_is_written_through(source: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "set").symlink_to(tmp_path / "far")
    assert run("--source", source, "--output-dir", tmp_path / "data" / "set").returncode == 0
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == FILES
    assert "set_train" in json.loads((tmp_path / "data" / "dataset_info.json").read_text())


def test_the_old_name_of_the_export_still_works_and_none_is_shown(source: Path, tmp_path: Path) -> None:
    assert run("--source", source, "--output-dir", tmp_path / "old", "--format", "jsonl").returncode == 0
    assert (tmp_path / "old" / "train.jsonl").is_file()
    done = run("--source", source, "--output-dir", tmp_path / "none", "--export", "none")
    assert done.returncode == 0, done.stderr
    assert "No JSON files for other tools" in done.stdout
    assert [path.name for path in (tmp_path / "none").glob("*.json*")] == ["meta.json"]


def test_a_large_dataset_is_not_exported_and_that_is_noted(
    source: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from movielora.console.reporting import reporter

    monkeypatch.setattr("movielora.dataset.options.MOST_EXPORTED", 100)
    meta = prepare(source, tmp_path / "set", PrepareOptions(), reporter()).meta
    examples = sum(meta["counts"].values())
    assert f"No JSON files for other tools: {examples:,} examples are many" in capsys.readouterr().err
    assert (meta["export"], meta["options"]["export"]) == ("none", None)
    assert sorted(meta["files"]) == ["films.parquet", "interactions.parquet"]
    asked = prepare(source, tmp_path / "set", PrepareOptions(export="json"), SILENT, overwrite=True).meta
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == FILES
    assert asked["content_sha256"] == meta["content_sha256"]


def test_help_shows_the_defaults_and_an_example() -> None:
    shown = run("--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for text in ("default: 15", "default: 4.0", "default: 0.05", "default: 0.1", "default: 13", "Example: movielora"):
        assert text in " ".join(shown.split())


@pytest.mark.shared
def test_the_real_movielens_gives_the_known_counts(shared: Path, tmp_path: Path) -> None:
    meta = prepare(shared / "ml-latest-small", tmp_path / "set", PrepareOptions()).meta
    assert meta["counts"] == {"train": 78_271, "eval": 4_450, "test": 8_965}
    assert round(meta["positive_rate"]["test"], 3) == 0.466
    assert round(meta["positive_rate"]["train"], 3) == 0.479
    assert (meta["users"], meta["users_dropped"], meta["movies"]) == (610, 0, 9724)


def test_a_source_that_is_missing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prepare(tmp_path / "none", tmp_path / "a" / "b", PrepareOptions())
    assert everything_below(tmp_path) == {}
