"""Real processes for the tests of runs: small ones without a model, and trainings of the embedded base."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from movielora.runs.paths import RunPaths
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.runs.status.state import Liveness, RunState, derive, read_record_and_liveness
from movielora.storage import process
from tiny_training import Workplace, end_everything, make_workplace, wait_for

_SMALL_RUN = Path(__file__).with_name("small_run.py")


class SmallRuns:
    """Starts small runs below one folder; what still lives at the end is killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[subprocess.Popen[str]] = []

    def paths(self, name: str = "run") -> RunPaths:
        return RunPaths(self.root / "output" / name)

    def start(self, name: str = "run", *words: str, detached: bool = False) -> subprocess.Popen[str]:
        environment = os.environ | ({"MOVIELORA_DETACHED": "1"} if detached else {})
        child = subprocess.Popen(
            [sys.executable, str(_SMALL_RUN), str(self.paths(name).root), *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        self.started.append(child)
        return child

    def start_and_wait(self, name: str = "run", *words: str, detached: bool = False) -> subprocess.Popen[str]:
        """Started, and at its first step."""
        child = self.start(name, *words, detached=detached)
        assert wait_for(lambda: (beat := read_heartbeat(self.paths(name))) and beat.count("step"), 30), "no first step"
        return child

    def state(self, name: str = "run") -> RunState:
        return self.look(name)[0]

    def look(self, name: str = "run") -> tuple[RunState, Liveness]:
        paths = self.paths(name)
        record, liveness = read_record_and_liveness(paths)
        return derive(paths, record, read_heartbeat(paths), liveness), liveness

    def end(self) -> None:
        for child in self.started:
            try:
                process.kill_all(process.family(child.pid))
            except psutil.NoSuchProcess:
                continue
            child.communicate()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallRuns]:
    runs = SmallRuns(tmp_path)
    yield runs
    runs.end()


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Data and config, and one finished training in `output/calm`."""
    place = make_workplace(tmp_path_factory.mktemp("workplace"))
    calm = place.run(*place.train("calm"))
    assert calm.returncode == 0, calm.stderr
    yield place
    end_everything(place.folder)
