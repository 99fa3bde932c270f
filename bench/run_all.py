"""Run the benchmarks one after the other: `make bench`, or `make bench-quick` with --quick.

A program fails where its results are not equal or something breaks; no time decides. Ends with one table of ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from harness import PROJECT, RESULTS, WORK

_PROGRAMS = (
    "tokenize_cold.py",
    "tokenize_warm.py",
    "train_tiny.py",
    "train_cpu.py",
    "score_rows.py --model tiny",
    "score_rows.py --model qwen",
    "evaluate_in_training.py",
    "prepare_data.py",
    "start_up.py",
    "gpu_train.py",
)
# 32 million ratings need 1 GB of disk for the CSV and some minutes.
_FULL_ONLY = ("prepare_data.py --ratings 1000000", "prepare_data.py --ratings 32000000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work each, three minutes in all")
    options = parser.parse_args()
    programs = _PROGRAMS if options.quick else _PROGRAMS + _FULL_ONLY
    failed = [program for program in programs if _run(program, quick=options.quick)]
    _table(quick=options.quick)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(program: str, *, quick: bool) -> int:
    words = program.split()
    command = [sys.executable, str(PROJECT / "bench" / words[0]), *words[1:], *(["--quick"] if quick else [])]
    return subprocess.run(command, check=False).returncode


def _table(*, quick: bool) -> None:
    folder = WORK / "quick" if quick else RESULTS
    print(f"\n{'bench':16} {'ratio':>8} {'memory':>8}   goal")
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        if "ratio" in report:
            print(f"{report['name']:16} {report['ratio']:7.2f}× {report['memory_ratio']:7.2f}×   {report['goal']}")


if __name__ == "__main__":
    main()
