"""Benchmarks compare before they time, and tell of a machine without naming it. No clock decides here."""

from __future__ import annotations

import getpass
import importlib
import json
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PROGRAM = """
import json, sys
sys.path.insert(0, {bench!r})
import harness, report
from harness import Benchmark, Goal, Sweep, run_benchmark

harness.WORK = report.RESULTS = report.OTHER_RESULTS = __import__("pathlib").Path({work!r})

def side(answer):
    def run(options):
        open({work!r} + "/calls", "a").write("check " if options.check else "timed ")
        return {{"seconds": answer, "result": answer if options.check else None}}
    return run

def same(one, other):
    assert abs(one - other) < 5, f"{{one}} is not {{other}}"
    return {{"difference": abs(one - other)}}

run_benchmark(Benchmark(
    name="invented", question="which?", sides={{"ours": side(2.0), "peer": side({peer})}}, same=same,
    goals=(Goal("ratio", at_least=2), Goal("memory_growth", at_most=9)),
    options=lambda parser: parser.add_argument("--rows", type=int), facts=lambda options: {{"layers": 3}},
    sweep=Sweep("rows", {{"ours": (1, 2), "peer": (1,)}}, quick_values={{"ours": (1, 2)}}),
))
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of bench/ by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def _run(folder: Path, peer: float, *words: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(bench=str(BENCH), work=str(folder), peer=peer))
    return subprocess.run([sys.executable, str(program), *words], capture_output=True, text=True, check=False)


def test_equal_results_are_timed_alternating_and_reported(tmp_path: Path) -> None:
    done = _run(tmp_path, 6.0, "--rounds", "2")
    assert done.returncode == 0, done.stderr
    # Two rounds of two sides, then the peaks at three values.
    assert (tmp_path / "calls").read_text().split() == ["check"] * 2 + ["timed"] * (4 + 3)
    report = json.loads((tmp_path / "invented.json").read_text())
    assert report["measures"]["ratio"] == 3.0  # 6 s against 2 s
    assert report["goals"][0] == {"measure": "ratio", "at_least": 2}
    assert report["work"]["layers"] == 3
    assert report["work"]["data"] in ("ml-latest-small", "synthetic")
    assert report["compared"] == {"difference": 4.0}
    assert list(report["peak_bytes_by_rows"]["ours"]) == ["1", "2"]
    assert "3.00× (goal ≥ 2×, reached)" in done.stdout
    assert report["sides"]["ours"]["all_seconds"] == [2.0, 2.0]
    assert report["sides"]["peer"]["peak_bytes"] > 0


def test_a_run_of_other_work_does_not_stand_for_the_standard_one(tmp_path: Path) -> None:
    other = tmp_path / "other"
    program = PROGRAM.replace("report.RESULTS = report.OTHER_RESULTS", "report.RESULTS")
    path = tmp_path / "program.py"
    path.write_text(
        program.format(bench=str(BENCH), work=str(tmp_path), peer=6.0).replace(
            "def side", "report.OTHER_RESULTS = harness.WORK / 'other'\ndef side", 1
        )
    )
    for words, kept in (("--rows", "3"), other), (("--rounds", "1"), tmp_path):
        subprocess.run([sys.executable, str(path), *words], capture_output=True, check=True)
        assert (kept / "invented.json").is_file()
        (kept / "invented.json").unlink()


def test_memory_growth_is_from_the_fewest_to_the_most_rows(bench: Any) -> None:
    sides = {"ours": {"seconds": 1.0, "peak_bytes": 5}, "peer": {"seconds": 3.0, "peak_bytes": 10}}
    found = bench("harness")._measures(sides, {"ours": {"250": 1000, "1000": 900, "4000": 1750}, "peer": {"250": 1}})
    assert found == {
        "seconds": 1.0,
        "peak_bytes": 5,
        "ratio": 3.0,
        "memory_ratio": 0.5,
        "memory_growth": 1.75,
        "bytes_a_row": 0.2,
    }


def test_the_peak_of_a_child_is_not_its_parents(bench: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(BENCH)!r}); import harness, os\n"
        "if len(sys.argv) > 1: sys.exit(print(harness._peak_bytes()))\n"
        "large = b'x' * 500_000_000\n"
        "import subprocess\n"
        "subprocess.run([sys.executable, __file__, 'child'], check=True)\n"
    )
    said = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True).stdout
    assert 0 < int(said) < 300_000_000


def test_a_quick_run_compares_and_judges_nothing(tmp_path: Path) -> None:
    done = _run(tmp_path, 3.0, "--quick")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().split() == ["check"] * 2 + ["timed"] * 2  # the peaks at two values
    assert "1.50× (goal ≥ 2×)" in done.stdout
    assert json.loads((tmp_path / "invented.json").read_text())["quick"] is True


def test_a_wrong_answer_is_never_timed(tmp_path: Path) -> None:
    done = _run(tmp_path, 20.0)
    assert done.returncode != 0
    assert "2.0 is not 20.0" in done.stderr
    assert "timed" not in (tmp_path / "calls").read_text()
    assert not (tmp_path / "invented.json").exists()


def test_the_machine_is_described_and_not_named(bench: Any) -> None:
    text = json.dumps(bench("report").describe_machine())
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert getpass.getuser() not in text.split('"')
    assert json.loads(text)["cores"] > 0


def test_results_that_are_kept_name_no_folder() -> None:
    for path in (BENCH / "results").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        for folder in ('"/', "/work", "/home", "/tmp", "/root", str(BENCH.parent), str(Path.home())):
            assert folder not in text, f"{path.name} names {folder}"


def test_a_row_without_a_decision_is_excused_only_where_both_are_unsure(bench: Any) -> None:
    same = partial(bench("score_rows")._same, tolerance=0.1)
    found = same({"base": [0.02, 2.0], "adapter": [-0.5]}, {"base": [-0.03, 2.0625], "adapter": [-0.5]})
    assert found["answers"] == 3
    assert found["excused_answers"] == found["excused_answers_that_differ"] == 1
    assert found["largest_log_odds_difference"] == 0.0625
    for ours, peers in ((0.05, -0.11), (2.0, 2.2)):
        with pytest.raises(AssertionError, match="log-odds"):
            same({"base": [ours], "adapter": []}, {"base": [peers], "adapter": []})


def test_a_gpu_report_judges_speed_at_the_largest_batch_and_memory_at_two(bench: Any) -> None:
    def side(seconds: float, peak: float) -> dict[str, Any]:
        return {"seconds": seconds, "peak_bytes": peak, "quantized": True, "batch": 8}

    sides = {"movielora 2": side(2, 3e9), "trl 2": side(4, 6e9), "movielora auto": side(1, 20e9)}
    report = bench("gpu_train")._report(sides, 28, quick=False)
    assert report["measures"] == {"ratio": 4, "memory_ratio": 0.5, "peak_bytes": 3e9}
    assert report["work"]["layers"] == 28
    assert list(report["sides"])[:2] == ["movielora auto", "trl 2"]
