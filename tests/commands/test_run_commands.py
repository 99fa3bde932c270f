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


def test_a_sparkline_goes_from_the_lowest_bar_to_the_highest() -> None:
    assert sparkline([1.0, 0.5, 0.0]) == "█▅▁"
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([]) == ""
    assert len(sparkline([float(n) for n in range(1000)], 28)) == 28
    assert sparkline([900.0, *(float(n) for n in range(9, 0, -1))]) == "██▇▆▅▅▄▃▂▁"
