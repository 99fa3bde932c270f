"""How long `movielora compare RUN` takes on a comparison that is finished and of which nothing has changed.

It must read and check, not compute: the figures are byte for byte those of the first time, and no model library is
loaded (counted by Python's own `-X importtime`).
"""

from __future__ import annotations

import argparse
import hashlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from datasets_here import dataset
from places import PROJECT, data_name, environment
from report import Goal, build_report, judgement, save

_ROWS_QUICK = 200
_LIBRARIES = re.compile(r"\|\s+(torch|transformers|sklearn|peft)$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{_ROWS_QUICK} rows, three calls")
    options = parser.parse_args()
    folder = dataset().resolve()
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "output" / "run"
        _call(Path(place), "train", "--config", str(PROJECT / "configs" / "tiny_cpu.yaml"), *_settings(folder, run))
        words = ["compare", str(run), *(["--max-samples", str(_ROWS_QUICK)] if options.quick else [])]
        first = _seconds(Path(place), *words)
        made = _digest(run)
        times = [_seconds(Path(place), *words) for _ in range(3 if options.quick else 9)]
        loaded = sorted(set(_LIBRARIES.findall(_call(Path(place), *words, python=("-X", "importtime")))))
        if loaded or _digest(run) != made:
            sys.exit(f"reopening loaded {', '.join(loaded) or 'nothing'}, figures equal: {_digest(run) == made}")
        rows = sum(1 for _ in (run / "comparison" / "predictions.jsonl").open("rb"))
    report = build_report(
        "compare-reopen",
        "`movielora compare RUN` of a finished comparison, from start to exit",
        {
            "movielora": {"seconds": statistics.median(times), "all_seconds": times},
            "the first time": {"seconds": first, "all_seconds": [first]},
        },
        (Goal("seconds", at_most=2.0),),
        {"seconds": statistics.median(times)},
        quick=options.quick,
        work={"data": data_name(), "rows": rows},
    )
    print(f"compare, reopened: {judgement(report)}; the first time {first:.1f} s")
    save(report)


def _settings(folder: Path, run: Path) -> list[str]:
    values = {
        "train_file": folder / "train.json", "eval_file": folder / "eval.json", "output_dir": run, "max_steps": 2,
        "max_samples": 500, "max_eval_samples": 100, "eval_steps": 2, "save_steps": 2,
    }  # fmt: skip
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def _digest(run: Path) -> str:
    files = sorted(path for path in (run / "comparison").iterdir() if path.suffix in (".json", ".jsonl"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _seconds(folder: Path, *words: str) -> float:
    started = time.perf_counter()
    _call(folder, *words)
    return time.perf_counter() - started


def _call(folder: Path, *words: str, python: tuple[str, ...] = ()) -> str:
    """What `movielora WORDS` says on standard error."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "movielora", *words], cwd=folder, capture_output=True, text=True, check=False,
        env=environment(),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed: {done.stderr[-500:]}")
    return done.stderr


if __name__ == "__main__":
    main()
