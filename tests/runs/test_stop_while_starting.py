"""A stop that arrives while a run takes its folder, in a process whose libraries have started threads of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record

# A thread without a Python frame, as a library starts it, may take a signal that is blocked in the main thread.
_RUN = """\
import os, signal, sys, threading
from pathlib import Path
from movielora.errors import StoppedError
from movielora.runs import run_guard, session

threading.Thread(target=threading.Event().wait, daemon=True).start()
moment, number, folder = sys.argv[1], signal.Signals[sys.argv[2]], Path(sys.argv[3])

def also_signalled(function):
    def signalled(*given, **named):
        os.kill(os.getpid(), number)
        return function(*given, **named)
    return signalled

places = {"lock": (run_guard, "take_lock"), "record": (session, "new_record"), "config": (session, "place_files")}
module, name = places[moment]
setattr(module, name, also_signalled(getattr(module, name)))
try:
    with session.RunSession.open(folder, argv=[], config={}, config_yaml="") as run:
        run.beat(phase="loading libraries")
        print("trained")
except StoppedError as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("moment", ["lock", "record", "config"])
def test_a_stop_while_the_folder_is_taken_is_recorded(tmp_path: Path, moment: str, number: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, moment, number, str(tmp_path / "run")], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 75, ended.stderr
    assert ended.stdout == ""
    record = read_record(RunPaths(tmp_path / "run"))
    assert record.ended.state == "stopped"
    assert record.ended.exit_code == 75
    assert record.raw["ended"]["signal"] == number


def test_a_stop_while_a_taken_folder_is_refused_ends_the_process(tmp_path: Path) -> None:
    refused = _RUN.replace("return function(*given, **named)", "raise OSError(28, 'No space left on device')")
    ended = subprocess.run(
        [sys.executable, "-c", refused, "record", "SIGTERM", str(tmp_path / "run")], capture_output=True, timeout=60
    )
    assert ended.returncode == -15
    assert read_record(RunPaths(tmp_path / "run")) is None
