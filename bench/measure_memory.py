"""Hold the memory estimate of `movielora fit` against the measured peak of real trainings on this machine's CPU.

usage: python bench/measure_memory.py WORK_DIR [--layers 2 4 8] [--batches 1 2 4] [--json FILE]

Each case is `movielora train` in its own process on a Qwen3-0.6B layer shape (make_qwen3_shape.py of
$MOVIELORA_SHARED) with rows cut to exactly `cutoff_len`; the peak is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from movielora.config import resolve_config
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.model.estimates.memory import estimate, read_shape, setup_of
from movielora.model.folder import read_model_config
from places import SHARED, environment

ROWS, STEPS = 16, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], help="more config keys, as key=value")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work_dir.mkdir(parents=True, exist_ok=True)
    cases = [measure(options, layers, batch) for layers in options.layers for batch in options.batches]
    worst = max(abs(case["error"]) for case in cases)
    print(f"worst error {worst:.1%}")
    if options.json:
        facts = {"cases": cases, "worst_error": worst, "overrides": options.overrides}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace, layers: int, batch: int) -> dict[str, object]:
    """One training; its estimate and its peak in bytes."""
    model = options.work_dir / f"qwen3-{layers}-layers"
    if not model.is_dir():
        script = SHARED / "make_qwen3_shape.py"
        subprocess.run([sys.executable, script, model, "--layers", str(layers)], check=True, capture_output=True)
    config = write_config(options.work_dir, model, batch)
    command = [sys.executable, "-m", "movielora", "train", "--config", str(config), "--overwrite"]
    command += [part for override in options.overrides for part in ("--set", override)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        said = process.stderr.read() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the training failed: {said}")
    measured = usage.ru_maxrss * 1024
    values = resolve_config(config, options.overrides).values
    setup = setup_of(values, "cpu", bf16_is_fast=computes_bf16_fast(cpu_flags()))
    found = estimate(read_shape(read_model_config(model)), setup)
    error = found.peak_bytes / measured - 1
    gigabytes = f"{measured / 1e9:.2f} GB, estimated {found.peak_bytes / 1e9:.2f} ({error:+.1%})"
    print(f"{layers} layers, batch {batch}: {gigabytes}", flush=True)
    return {
        "layers": layers,
        "batch": batch,
        "measured_bytes": measured,
        "estimated_bytes": found.peak_bytes,
        "error": round(error, 4),
        "parts": found.parts,
    }


def write_config(folder: Path, model: Path, batch: int) -> Path:
    """A training of a few steps on rows that are all longer than the cutoff."""
    values = {
        "model_name_or_path": str(model.resolve()),
        **write_rows(folder),
        "cutoff_len": 512,
        "allow_truncation": True,
        "per_device_train_batch_size": batch,
        "per_device_eval_batch_size": 4,
        "max_eval_samples": 4,
        "gradient_accumulation_steps": 1,
        "max_steps": STEPS,
        "report_to": "none",
        "output_dir": str(folder.resolve() / "output"),
        "preprocessing_cache_dir": str(folder.resolve() / "cache"),
    }
    config = folder / "config.yaml"
    config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()), encoding="utf-8")
    return config


def write_rows(folder: Path) -> dict[str, str]:
    """Synthetic rows with 200 films of history each; the config keys that name them."""
    draw = random.Random(1)  # noqa: S311 (synthetic titles)
    titles = [f"A film of many words number {draw.randrange(10**6)}" for _ in range(200)]
    history = "\n".join(f"{place}. {title}: {draw.randrange(1, 6)}.0" for place, title in enumerate(titles, 1))
    rows = [
        {"instruction": "Will the user like it?", "input": f"{history}\nCandidate film: {row}", "output": answer}
        for row, answer in zip(range(ROWS), ["Yes", "No"] * ROWS, strict=False)
    ]
    for name in ("train", "eval"):
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    return {f"{name}_file": str(folder.resolve() / f"{name}.json") for name in ("train", "eval")}


if __name__ == "__main__":
    main()
