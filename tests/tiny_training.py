"""A place with invented data and a config, where real `movielora` processes train the embedded base for seconds.

One thread, because sums over threads may differ in the last bit and these tests compare losses for equality.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from movielora.progress import SILENT, Reporter
from movielora.runs.paths import RunPaths
from movielora.runs.status.history import read_metrics
from movielora.storage import lock
from movielora.storage.process import Identity, is_alive

if TYPE_CHECKING:
    from movielora.training.result import TrainResult

Found = TypeVar("Found")

# Evaluating, saving and logging at intervals that share no factor: every order of the three comes up.
_CONFIG = """\
model_name_or_path: tiny
bf16: false
enable_liger_kernel: false
train_file: data/d/train.json
eval_file: data/d/eval.json
per_device_train_batch_size: 2
per_device_eval_batch_size: 16
gradient_accumulation_steps: 2
learning_rate: 4.0e-3
num_train_epochs: 4
lora_rank: 4
lora_dropout: 0.1
max_samples: 40
max_eval_samples: 16
eval_steps: 7
save_steps: 5
logging_steps: 3
early_stopping_patience: null
metric_for_best_model: auc
"""


@dataclass(frozen=True)
class Workplace:
    folder: Path

    def run(self, *words: str, timeout: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
        """`movielora WORDS` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "movielora", *words],
            cwd=self.folder, env=self._environment(variables), capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """`movielora WORDS`, going on; what it says on stderr is in `last_stderr`."""
        with self.last_stderr.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "movielora", *words],
                cwd=self.folder, env=self._environment(variables), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip

    @property
    def last_stderr(self) -> Path:
        return self.folder / "stderr.txt"

    def train_here(self, name: str, *overrides: str, reporter: Reporter = SILENT, **request: Any) -> TrainResult:
        """The same training inside this process, which has torch already; one thread, as in the others."""
        import torch

        from movielora.config import resolve_config
        from movielora.training.train import TrainRequest, train_run

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with chdir(self.folder):
                resolved = resolve_config(Path("tiny.yaml"), [f"output_dir=output/{name}", *overrides])
                return train_run(TrainRequest(resolved, **request), reporter)
        finally:
            torch.set_num_threads(threads)

    def train(self, name: str, *words: str) -> tuple[str, ...]:
        """The words of a training into `output/NAME`."""
        return ("train", "--config", "tiny.yaml", "--set", f"output_dir=output/{name}", *words)

    def status(self, name: str) -> dict[str, Any]:
        told = self.run("status", f"output/{name}", "--json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    def paths(self, name: str) -> RunPaths:
        return RunPaths(self.folder / "output" / name)

    def losses(self, name: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(step, loss) of every log and (step, eval_loss) of every evaluation."""
        history = read_metrics(self.paths(name).metrics)
        steps = [(row["step"], row["loss"]) for row in history.steps]
        return steps, [(row["step"], row["eval_loss"]) for row in history.evaluations]

    def adapter(self, name: str) -> str:
        """SHA-256 of the finished adapter's weights."""
        return hashlib.sha256(self.paths(name).adapter_weights.read_bytes()).hexdigest()

    def living(self, name: str, seconds: float = 60) -> Identity:
        """The live process of the run, waited for."""
        found = wait_for(lambda: self.owner(name), seconds)
        assert found is not None, f"no process took output/{name}"
        return found

    def owner(self, name: str) -> Identity | None:
        found = lock.owner(self.paths(name).lock)
        return found if found and is_alive(found) and lock.holds(found.pid, self.paths(name).lock) else None

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        return os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | variables


class Listener:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.note = self.warn = self.said.append
        self.phase = SILENT.phase


def make_workplace(folder: Path) -> Workplace:
    """Invented ratings, prepared, and the config; nothing trained yet."""
    from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

    write_synthetic_movielens(folder / "data" / "raw", SyntheticSize(30, 60, 20, 30))
    (folder / "tiny.yaml").write_text(_CONFIG, encoding="utf-8")
    place = Workplace(folder)
    prepared = place.run("prepare", "--source", "data/raw", "--output-dir", "data/d", "--history-len", "3")
    assert prepared.returncode == 0, prepared.stderr
    return place


def wait_for(look: Callable[[], Found], seconds: float = 60) -> Found:
    """What `look` gives once it is true, or its last answer."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def wait_until_gone(identity: Identity, seconds: float = 60) -> None:
    assert wait_for(lambda: not is_alive(identity), seconds), f"PID {identity.pid} did not end"


def end_everything(folder: Path) -> None:
    """Kill what a failed test left running below `folder`."""
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] and process.info["cwd"].startswith(str(folder)) and "movielora" in words:
            process.kill()
