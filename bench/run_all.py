"""Run the benchmarks one after the other: `make bench`, or `make bench-quick` with --quick.

A program fails where its results are not equal or something breaks; no time decides. Ends with the table of `table.py`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from places import OTHER_RESULTS, PROJECT, RESULTS
from table import make_table

_PROGRAMS = (
    "tokenize_cold.py",
    "tokenize_warm.py",
    "audit_lengths.py",
    "train_tiny.py",
    "train_cpu.py",
    "score_rows.py --model tiny",
    "score_rows.py --model qwen",
    "evaluate_in_training.py",
    "prepare_data.py",
    "start_up.py",
    "compare_reopen.py",
    "gpu_train.py",
)
# 32 million ratings need 1 GB of disk for the CSV and some minutes.
_FULL_ONLY = (
    "prepare_data.py --ratings 32000000",
    "large_dataset.py --step audit",
    "large_dataset.py --step start",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work each, three minutes in all")
    options = parser.parse_args()
    programs = _PROGRAMS if options.quick else _PROGRAMS + _FULL_ONLY
    if options.quick:  # what an earlier quick run left is not of these programs
        shutil.rmtree(OTHER_RESULTS, ignore_errors=True)
    failed = [program for program in programs if _run(program, quick=options.quick)]
    print(f"\n{make_table(OTHER_RESULTS if options.quick else RESULTS)}", end="")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(program: str, *, quick: bool) -> int:
    words = program.split()
    command = [sys.executable, str(PROJECT / "bench" / words[0]), *words[1:], *(["--quick"] if quick else [])]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
