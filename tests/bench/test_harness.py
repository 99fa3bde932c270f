"""Benchmarks compare before they time, and tell of a machine without naming it. No clock decides here."""

from __future__ import annotations

import getpass
import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PROGRAM = """
import json, sys
sys.path.insert(0, {bench!r})
import harness
from harness import Benchmark, run_benchmark

harness.WORK = harness.RESULTS = __import__("pathlib").Path({work!r})

def side(answer):
    def run(options):
        open({work!r} + "/calls", "a").write("check " if options.check else "timed ")
        return {{"seconds": answer, "result": answer if options.check else None}}
    return run

def same(one, other):
    assert abs(one - other) < 5, f"{{one}} is not {{other}}"

run_benchmark(Benchmark(
    name="invented", question="which?", sides={{"ours": side(2.0), "peer": side({peer})}}, same=same, goal="2",
))
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of bench/ by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def _run(folder: Path, peer: float) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(bench=str(BENCH), work=str(folder), peer=peer))
    return subprocess.run([sys.executable, str(program), "--rounds", "2"], capture_output=True, text=True, check=False)


def test_equal_results_are_timed_alternating_and_reported(tmp_path: Path) -> None:
    done = _run(tmp_path, 6.0)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().split() == ["check"] * 2 + ["timed"] * 4
    report = json.loads((tmp_path / "invented.json").read_text())
    assert report["ratio"] == 3.0  # 6 s against 2 s
    assert report["sides"]["ours"]["all_seconds"] == [2.0, 2.0]
    assert report["sides"]["peer"]["peak_bytes"] > 0


def test_a_wrong_answer_is_never_timed(tmp_path: Path) -> None:
    done = _run(tmp_path, 20.0)
    assert done.returncode != 0
    assert "2.0 is not 20.0" in done.stderr
    assert "timed" not in (tmp_path / "calls").read_text()
    assert not (tmp_path / "invented.json").exists()


def test_the_machine_is_described_and_not_named(bench: Any) -> None:
    text = json.dumps(bench("harness").describe_machine())
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert getpass.getuser() not in text.split('"')
    assert json.loads(text)["cores"] > 0


def test_results_that_are_kept_name_no_folder() -> None:
    for path in (BENCH / "results").glob("*.json"):
        text = path.read_text()
        assert socket.gethostname() not in text, path.name
        assert '"/' not in text, path.name


def test_arithmetic_of_the_decoder_is_the_known_one(bench: Any, tmp_path: Path) -> None:
    """Qwen3-0.6B: 28 × (q 1024·2048 + k, v 2·1024·1024 + o 2048·1024 + 3·1024·3072) = 440,401,920 weights."""
    shape = {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "head_dim": 128,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "num_hidden_layers": 28,
    }
    (tmp_path / "config.json").write_text(json.dumps(shape))
    assert bench("gpu_train")._decoder_weights(tmp_path) == 440_401_920
