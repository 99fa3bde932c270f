"""What belongs to the whole process is changed in named files only, and is as before once a recipe has ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from movielora.machine.process_settings import private_files, set_once, settings_undone, take_variable
from movielora.machine.signals import SignalHandlers

SOURCES = Path(__file__).parents[2] / "src" / "movielora"

# What is looked for → the only files that may hold it. The table in `process_settings.py` says the same in words.
PLACES = {
    r"os\.environ\[[^]]+\]\s*=|os\.environ\.(setdefault|pop|update|clear)|del os\.environ|os\.(putenv|unsetenv)": {
        "machine/process_settings.py"
    },
    r"os\.umask": {"machine/process_settings.py"},
    r"signal\.signal\(|pthread_sigmask|signal\.alarm|set_wakeup_fd": {"machine/signals.py"},
    r"os\.f?chdir|(?<!def )\bchdir\(": {"commands/training/resume.py"},
    r"gc\.(disable|enable|freeze|set_threshold)": {"machine/garbage_collector.py"},
    r"\.reconfigure\(|register_error|setattr\(sys": {"console/encoding.py"},
    r"mallopt": {"model/cpu/allocator.py", "machine/process_settings.py"},
    r"simplefilter|filterwarnings|\.setLevel\(|set_verbosity|disable_progress_bar": {
        "machine/library_output.py",
        "model/lora.py",  # inside `catch_warnings`, to read PEFT's warnings
    },
    r"set_num_threads|set_default_dtype|set_float32_matmul_precision|setrlimit|setrecursionlimit|setlocale": set(),
}


@pytest.mark.parametrize("pattern", PLACES)
def test_only_the_named_files_change_the_process(pattern: str) -> None:
    found = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found <= PLACES[pattern], f"a process-wide setting is changed in {found - PLACES[pattern]}"


def test_the_table_names_every_file() -> None:
    table = (SOURCES / "machine" / "process_settings.py").read_text(encoding="utf-8").split('"""')[1]
    for name in {name for names in PLACES.values() for name in names} - {
        "machine/process_settings.py",
        "model/lora.py",
    }:
        assert name in table


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIELORA_TEST_KEPT", "before")
    monkeypatch.setenv("MOVIELORA_TEST_TAKEN", "message")
    with settings_undone():
        os.environ["MOVIELORA_TEST_KEPT"] = "changed"  # as a library does
        os.environ["MOVIELORA_TEST_NEW"] = "new"
        assert take_variable("MOVIELORA_TEST_TAKEN") == "message"
    assert os.environ["MOVIELORA_TEST_KEPT"] == "before"
    assert "MOVIELORA_TEST_NEW" not in os.environ
    assert "MOVIELORA_TEST_TAKEN" not in os.environ  # read once: a child must not take it for its own


def test_a_change_is_made_once_and_undone_where_it_was_made() -> None:
    calls: list[str] = []

    def change(undo) -> None:
        calls.append("made")
        undo.callback(calls.append, "undone")

    with settings_undone():
        set_once("test", change)
        with settings_undone():
            set_once("test", change)
        assert calls == ["made"]
    assert calls == ["made", "undone"]


def test_a_change_is_undone_after_an_error() -> None:
    calls: list[str] = []

    @settings_undone()
    def failing() -> None:
        set_once("test", lambda undo: calls.append("made") or undo.callback(calls.append, "undone"))
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failing()
    assert calls == ["made", "undone"] * 2


def test_handlers_come_back_whatever_a_library_set_in_between() -> None:
    seen: list[int] = []
    before = signal.getsignal(signal.SIGUSR1)
    with SignalHandlers() as handlers:
        handlers.install(signal.SIGUSR1, lambda number, frame: seen.append(number))
        signal.raise_signal(signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as a library does
        handlers.install(signal.SIGUSR1, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGUSR1) == before


def test_private_files(tmp_path: Path) -> None:
    with private_files():
        (tmp_path / "private").touch()
    (tmp_path / "usual").touch()
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    return int(re.search(r"Umask:\s*(\d+)", Path("/proc/self/status").read_text()).group(1), 8)


_TRAINING = """\
import gc, json, logging, os, signal, sys, warnings
from pathlib import Path
from movielora.config import resolve_config
from movielora.progress import SILENT
from movielora.training.train import TrainRequest, train_run

def state():
    status = Path("/proc/self/status").read_text()
    return {
        "environment": dict(os.environ), "folder": os.getcwd(), "collector": gc.isenabled(),
        "umask": [line for line in status.splitlines() if line.startswith(("Umask", "SigBlk"))],
        "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "filters": [str(entry) for entry in warnings.filters],
        "levels": {name: logging.getLogger(name).level for name in ("trl", "peft", "datasets", "accelerate")},
    }

import transformers, trl, peft, datasets, accelerate  # what an import changes is the library's own
import movielora.training.loop.trainer, movielora.training.finish
before = state()
before["transformers"] = transformers.logging.get_verbosity()
result = train_run(TrainRequest(resolve_config(Path("tiny.yaml"), sys.argv[1:]), argv=("library",)), SILENT)
assert result.state == "finished"
after = state()
after["transformers"] = transformers.logging.get_verbosity()
print(json.dumps([before, after]))
"""


def test_a_training_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    """A program that uses the library: a real training in a process of its own."""
    from tiny_training import make_workplace

    place = make_workplace(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING, "max_steps=3", "output_dir=output/library"],
        cwd=place.folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after == before


def test_a_blank_variable_for_a_folder_is_as_good_as_none(tmp_path: Path) -> None:
    blank = {"HF_HOME": "", "XDG_CACHE_HOME": " ", "HOME": "", "TMPDIR": "\t", "HF_HUB_CACHE": ""}
    command = [sys.executable, "-m", "movielora", "doctor", "--only", "hugging_face", "--json"]
    unset = {name: value for name, value in os.environ.items() if name not in blank}
    said = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=each, cwd=tmp_path).stdout)[
            "checks"
        ]
        for each in (unset | blank, unset)
    ]
    assert said[0] == said[1]
    assert "cache /" in said[0][0]["found"]
