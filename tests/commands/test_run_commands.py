"""`status`, `logs`, `runs`, `stop` and `board` from the command line, on a small run without a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from movielora.console.training.status_view import sparkline
from movielora.runs.lookup.index import remember_run
from movielora.runs.paths import RunPaths
from movielora.runs.status.heartbeat import read_heartbeat
from tiny_training import wait_for

_SMALL_RUN = Path(__file__).parents[1] / "runs" / "small_run.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose output/ holds a live run named `live`, writing its log as a detached one does."""
    folder = tmp_path_factory.mktemp("place")
    run = RunPaths(folder / "output" / "run")
    run.root.mkdir(parents=True)
    with run.log.open("wb") as log:
        words = [str(run.root), "--name", "live", "--save-every", "10"]
        child = subprocess.Popen(
            [sys.executable, str(_SMALL_RUN), *words],
            stdout=log, stderr=log, env=os.environ | {"MOVIELORA_DETACHED": "1"},
        )  # fmt: skip
    assert wait_for(lambda: (beat := read_heartbeat(run)) and (beat.count("step") or 0) > 12, 30)
    yield folder
    child.kill()
    child.wait()


def movielora(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "movielora", *words], cwd=place, capture_output=True, text=True, timeout=60, check=False
    )


def test_status_without_an_argument_is_the_live_runs(place: Path) -> None:
    told = json.loads(movielora(place, "status", "--json").stdout)
    assert (told["run"], told["state"], told["max_steps"]) == ("live", "running", 100_000)
    assert told["process"]["alive"]
    assert told["process"]["rss_bytes"] > 10**6
    page = movielora(place, "status", "live").stdout
    assert "live  ● running  " in page
    assert all(len(line) <= 80 for line in page.splitlines())


def test_no_command_about_runs_imports_torch(place: Path) -> None:
    program = (
        "import sys; from movielora.cli import app\n"
        "for words in (['status'], ['status', '--json'], ['runs'], ['logs', '-n', '1'], ['logs', '--metrics']):\n"
        "    app(words, standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'polars', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_watch_redraws_until_it_is_interrupted(place: Path) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "movielora", "status", "--watch", "0.2"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    time.sleep(2.5)
    watching.send_signal(signal.SIGINT)
    shown = watching.communicate(timeout=10)[0]
    assert watching.returncode == 130
    assert shown.count("● running") >= 2
    assert movielora(place, "status", "--watch", "--json").returncode == 2


def test_logs_and_metrics(place: Path) -> None:
    lines = movielora(place, "logs", "live", "-n", "3").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("step ")
    table = movielora(place, "logs", "--metrics", "-n", "2").stdout.splitlines()
    assert table[0].split()[:3] == ["step", "epoch", "loss"]
    assert len(table) == 3
    told = json.loads(movielora(place, "logs", "--json", "-n", "2").stdout)
    assert len(told["lines"]) == 2


def test_runs_lists_them(place: Path) -> None:
    told = json.loads(movielora(place, "runs", "--json").stdout)["runs"]
    assert [(run["run"], run["state"]) for run in told] == [("live", "running")]
    assert told[0]["size_bytes"] > 0
    assert "live" in movielora(place, "runs").stdout


def test_an_unknown_run_is_exit_3(place: Path) -> None:
    for words in (["status", "nobody"], ["stop", "nobody"], ["logs", "nobody"], ["resume", "nobody"], ["board", "no"]):
        done = movielora(place, *words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "there is no run" in done.stderr


@pytest.mark.parametrize("name", ["", " ", "../x", "-x", "a\tb", "a\x1b[2Jb", "x" * 300])
@pytest.mark.parametrize("option", ["--dry-run", "--detach", "--json"])
def test_a_name_that_cannot_be_a_runs_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, option: str
) -> None:
    """The config is not there either, and would be an error of its own."""
    done = movielora(tmp_path, "train", "--config", "none.yaml", f"--name={name}", option)
    assert done.returncode == 2
    assert "a run cannot be named" in done.stderr
    assert "\x1b[2J" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_words_that_contradict_each_other_are_refused(place: Path) -> None:
    (place / "c.yaml").write_text("model_name_or_path: tiny\n")
    for words in (["--resume", "--overwrite"], ["--extra-epochs", "1"], ["--detach", "--name", "../x"]):
        assert movielora(place, "train", "--config", "c.yaml", *words).returncode == 2


def test_following_a_log_ends_with_the_run_which_stop_ends(place: Path) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "movielora", "logs", "-f", "-n", "1"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    time.sleep(1)
    stopped = movielora(place, "stop", "--json", "--timeout", "30")
    assert stopped.returncode == 0, stopped.stderr
    told = json.loads(stopped.stdout)
    assert (told["state"], told["forced"]) == ("stopped", False)
    shown = following.communicate(timeout=20)[0]
    assert following.returncode == 0
    assert "error: stopped at step" in shown.splitlines()[-1]
    assert movielora(place, "stop").returncode == 3


def test_board_serves_on_loopback_until_it_is_told_to_end(place: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(place / "output" / "run" / "logs")
    writer.add_scalar("loss", 1.0, 1)
    writer.close()
    board = subprocess.Popen(
        [sys.executable, "-m", "movielora", "board", "live", "--json"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    told = json.loads(board.stdout.readline())
    assert told["address"].startswith("http://127.0.0.1:")

    def names() -> list[str]:
        with urllib.request.urlopen(told["address"] + "data/runs", timeout=10) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())

    assert wait_for(names, 30) == ["run"]
    board.send_signal(signal.SIGTERM)
    assert board.wait(20) == 0
    with pytest.raises(OSError, match="refused"):
        names()


def test_board_names_two_folders_of_one_name_and_how_to_reach_it(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for group in ("a", "b"):
        run = tmp_path / "output" / group / "seed1"
        writer = SummaryWriter(run / "logs")
        writer.add_scalar("loss", 1.0, 1)
        writer.close()
        (run / "run.json").write_text("{}")
    assert movielora(tmp_path, "board", "seed1").returncode == 2
    board = subprocess.Popen(
        [sys.executable, "-m", "movielora", "board", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"SSH_CONNECTION": "198.51.100.4 50022 192.0.2.7 22", "LOGNAME": "ann"},
    )  # fmt: skip
    try:
        told = json.loads(board.stdout.readline())
        assert told["runs"] == ["a/seed1", "b/seed1"]
        port = told["address"].removesuffix("/").rpartition(":")[2]
        assert told["tunnel"] == f"ssh -N -L {port}:127.0.0.1:{port} ann@192.0.2.7"

        def shown() -> bool:
            with urllib.request.urlopen(told["address"] + "data/runs", timeout=10) as answer:  # noqa: S310 - loopback
                return sorted(json.loads(answer.read())) == ["a/seed1", "b/seed1"]

        assert wait_for(shown, 30)
    finally:
        board.send_signal(signal.SIGTERM)
        assert board.wait(20) == 0


def ended(folder: Path, name: str, state: str = "finished", reason: str = "") -> RunPaths:
    """A run that has ended so, with an adapter."""
    run = RunPaths(folder)
    folder.mkdir(parents=True)
    run.record.write_text(
        json.dumps({"name": name, "run_id": name, "started": 1.0, "ended": {"state": state, "reason": reason}})
    )
    run.adapter_weights.write_bytes(b"x")
    return run


def test_a_long_name_is_in_one_piece_in_runs_and_status(tmp_path: Path) -> None:
    """A hundred characters, the most a name may have, on the 80 columns of a pipe."""
    long = "n" * 100
    ended(tmp_path / "output" / "x", long)
    ended(tmp_path / "output" / "y", "short")
    lines = movielora(tmp_path, "runs").stdout.splitlines()
    assert long in lines
    assert all(len(line) <= 80 for line in lines if line != long)
    assert [line.split()[:2] for line in lines if line.startswith("short")] == [["short", "finished"]]
    page = movielora(tmp_path, "status", long).stdout.splitlines()
    assert page[0].startswith(f"{long}  ● finished")


def test_runs_of_one_name_are_listed_by_their_folders(tmp_path: Path) -> None:
    for group in ("a", "b"):
        ended(tmp_path / "output" / group / "seed1", "seed1")
    ended(tmp_path / "output" / "c", "seed2")
    first_words = {line.split()[0] for line in movielora(tmp_path, "runs").stdout.splitlines()}
    assert first_words == {"run", "output/a/seed1", "output/b/seed1", "seed2"}


def test_runs_of_one_name_here_and_elsewhere_are_listed_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for place in ("here", "there"):
        remember_run(ended(tmp_path / place / "output" / "seed1", "seed1").root, print)
    words = movielora(tmp_path / "here", "runs", "--all").stdout.split()
    assert [word for word in words if word.endswith("seed1")] == ["output/seed1", f"{tmp_path}/there/output/seed1"]


def test_the_status_of_a_finished_run_gives_the_next_step(tmp_path: Path) -> None:
    run = ended(tmp_path / "output" / "my run", "e2")
    assert movielora(tmp_path, "status").stdout.splitlines()[-1] == "next  movielora compare e2"
    away = tmp_path / "away"
    away.mkdir()
    page = movielora(away, "status", "../output/my run").stdout
    assert page.splitlines()[-1] == "next  movielora compare '../output/my run'"
    run.adapter_weights.unlink()
    assert "compare" not in movielora(tmp_path, "status").stdout


def test_the_status_of_a_stopped_run_says_so_once(tmp_path: Path) -> None:
    reason = "e2 stopped on request at step 218; its checkpoint-218 is complete"
    run = ended(tmp_path / "output" / "e2", "e2", "stopped", reason)
    run.log.write_text(f"Training: done\nerror: {reason}\nnext:  movielora resume e2\n")
    page = movielora(tmp_path, "status").stdout
    assert page.count("stopped") == page.count("checkpoint-218") == page.count("movielora resume e2") == 1
    assert "error" not in page


def test_a_sparkline_goes_from_the_lowest_bar_to_the_highest() -> None:
    assert sparkline([1.0, 0.5, 0.0]) == "█▅▁"
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([]) == ""
    assert len(sparkline([float(n) for n in range(1000)], 28)) == 28
    assert sparkline([900.0, *(float(n) for n in range(9, 0, -1))]) == "██▇▆▅▅▄▃▂▁"
