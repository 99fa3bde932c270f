"""Check movielora on a CUDA GPU: the doctor, short trainings in bf16 and 4-bit, their losses, speed and memory.

usage: python bench/gpu_check.py [--steps 30] [--json bench/results/gpu_check.json]

Builds a randomly initialised model of Qwen3-0.6B's shape, runs `movielora doctor`, trains with every pair of
precision and attention kernel that works here, holds each one's losses against the others' and its peak memory
against `movielora fit`, prints a table and writes one JSON. Needs nothing but an installed movielora: the real
tokenizer is used where $MOVIELORA_SHARED has it, the embedded base's where not. Ten minutes on any recent GPU.

`--anywhere --layers 2 --steps 3` tries the program itself on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure_memory import write_rows
from movielora.config import resolve_config
from movielora.model.estimates.memory import estimate, read_shape, setup_of
from movielora.model.folder import read_model_config
from movielora.model.kernels.attention import probe_flash_attention
from movielora.model.kernels.liger import probe_liger
from places import SHARED, environment

# Two kernels of the same mathematics in bf16 may differ by rounding; 4-bit weights are other weights.
SAME_MATHEMATICS, OTHER_WEIGHTS = 0.02, 0.5
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Case:
    name: str
    overrides: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """`seconds_per_step` is the median after the first steps; bytes are of the whole device use of the process."""

    name: str
    losses: list[float]
    seconds_per_step: float
    measured_bytes: int
    estimated_bytes: int
    parts: dict[str, int]

    @property
    def error(self) -> float:
        return self.estimated_bytes / self.measured_bytes - 1


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(train_one(Path(options.one))))
        return
    import torch

    if not torch.cuda.is_available() and not options.anywhere:
        sys.exit("torch sees no CUDA GPU here: run `movielora doctor`, or try the program with --anywhere --layers 2")
    with tempfile.TemporaryDirectory(prefix="movielora-gpu-check-") as folder:
        report = check(options, Path(folder))
    print_report(report)
    if options.json:
        print(f"written: {options.json}")
    if report["problems"]:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--json", type=Path, default=Path("bench/results/gpu_check.json"))
    parser.add_argument("--anywhere", action="store_true", help="also without a GPU")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def check(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole check; what is known is written after every part, so that an interruption loses one part."""
    report: dict[str, Any] = {
        "machine": describe_machine(),
        "settings": {key: getattr(options, key) for key in ("steps", "layers", "tokens", "rows")},
        "doctor": run_doctor(),
        "cases": [],
        "agreement": [],
        "problems": ["not finished"],
    }
    model = build_model(folder / "model", options.layers)
    outcomes: list[Outcome] = []
    for case in find_cases():
        print(f"training: {case.name} …", flush=True)
        outcomes.append(run_case(case, options, model, folder))
        report["cases"].append({**asdict(outcomes[-1]), "error": round(outcomes[-1].error, 4)})
        write_report(report, options.json)
    report["agreement"] = hold_together(outcomes)
    report["problems"] = [
        f"{pair['pair']}: losses differ by {pair['difference']:.3f}"
        for pair in report["agreement"]
        if not pair["agrees"]
    ]
    if "error" in report["doctor"]:
        report["problems"].append("movielora doctor --json gave no answer")
    write_report(report, options.json)
    return report


def write_report(report: dict[str, Any], path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def find_cases() -> list[Case]:
    """Both precisions with sdpa, and with flash attention where its probe passes; one with checkpointing, and one
    with Liger's kernels where theirs passes."""
    kernels = ["sdpa"]
    flash = probe_flash_attention()
    print(f"flash attention: {flash.reason}")
    if flash.usable:
        kernels.append("flash_attention_2")
    cases = [
        Case(f"{'4-bit' if quantized else 'bf16'} {kernel}", {"use_qlora": quantized, "flash_attn": kernel})
        for quantized in (False, True)
        for kernel in kernels
    ]
    spared = {"use_qlora": False, "flash_attn": "sdpa", "gradient_checkpointing": True}
    cases.append(Case("bf16 sdpa, checkpointing", spared))
    liger = probe_liger()
    print(f"Liger: {liger.reason}")
    if liger.usable:
        fused = {"use_qlora": False, "flash_attn": "sdpa", "enable_liger_kernel": True}
        cases.append(Case("bf16 sdpa, Liger", fused))
    return cases


def build_model(folder: Path, layers: int) -> Path:
    """Qwen3-0.6B's shape, random, in bf16, with the real tokenizer or else the embedded base's."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    from movielora.model.tiny import build_tiny_base

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    real = SHARED / "qwen3-tokenizer"
    source = real if real.is_dir() else build_tiny_base(folder.parent)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def run_case(case: Case, options: argparse.Namespace, model: Path, folder: Path) -> Outcome:
    """One training in a process of its own, so that peaks do not mix."""
    place = folder / case.name.replace(" ", "-").replace(",", "")
    place.mkdir()
    values = {
        "model_name_or_path": str(model),
        **write_rows(place),
        "cutoff_len": options.tokens,
        "allow_truncation": True,
        "bf16": True,
        "per_device_train_batch_size": options.rows,
        "gradient_accumulation_steps": 1,
        "learning_rate": 2e-4,
        "max_steps": options.steps,
        "logging_steps": 1,
        "eval_strategy": "no",
        "enable_liger_kernel": False,
        "lora_dropout": 0.0,  # its draws differ between kernels, and the losses are to be compared
        "report_to": "none",
        "output_dir": str(place / "run"),
        "preprocessing_cache_dir": str(place / "cache"),
        **case.overrides,
    }
    config = place / "config.yaml"
    config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()), encoding="utf-8")
    command = [sys.executable, __file__, "--one", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        sys.exit(f"{case.name} failed:\n{done.stderr}")
    measured = json.loads(done.stdout.splitlines()[-1])
    found = estimate(
        read_shape(read_model_config(model)),
        setup_of(resolve_config(config).values, measured["device"], bf16_is_fast=True),
    )
    return Outcome(
        case.name,
        measured["losses"],
        measured["seconds_per_step"],
        measured["peak_bytes"],
        found.peak_bytes,
        found.parts,
    )


def train_one(config: Path) -> dict[str, Any]:
    """In the child: train, and read the peak of this process."""
    import torch

    from movielora.progress import SILENT
    from movielora.training.train import TrainRequest, train_run

    result = train_run(TrainRequest(resolve_config(config)), SILENT)
    lines = (result.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "loss" in row]
    times = [row["time"] for row in rows]
    steps = [later - earlier for earlier, later in pairwise(times)]
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        # What the process holds beside torch's pool: the context and the libraries' workspaces.
        beside = total - free - torch.cuda.memory_reserved()
        peak = torch.cuda.max_memory_reserved() + beside
    else:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024  # getrusage would hold the parent's peak too
    return {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "losses": [row["loss"] for row in rows],
        "seconds_per_step": statistics.median(steps[WARM_UP_STEPS:] or steps),
        "peak_bytes": peak,
    }


def hold_together(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Every case against the first: the mean difference of their losses, in nats, and whether it is allowed."""
    first, *others = outcomes
    found = []
    for other in others:
        pairs = zip(first.losses, other.losses, strict=True)
        difference = statistics.mean(abs(one - two) for one, two in pairs)
        allowed = OTHER_WEIGHTS if other.name.startswith("4-bit") else SAME_MATHEMATICS * max(first.losses)
        found.append(
            {
                "pair": f"{first.name} / {other.name}",
                "difference": difference,
                "allowed": allowed,
                "agrees": difference <= allowed,
            }
        )
    return found


def describe_machine() -> dict[str, Any]:
    import platform
    from importlib import metadata

    import torch

    cuda = torch.cuda.is_available()
    return {
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "capability": ".".join(map(str, torch.cuda.get_device_capability())) if cuda else None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "trl", "peft", "bitsandbytes")},
        "time": time.strftime("%Y-%m-%d"),
    }


def run_doctor() -> dict[str, Any]:
    """Its verdict; where it gives none, what it wrote on stderr."""
    command = [sys.executable, "-m", "movielora", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        print(f"movielora doctor --json gave no answer, exit code {done.returncode}:\n{done.stderr}", flush=True)
        return {"error": done.stderr[-4000:], "verdict": "no answer"}
    return {"status": answer["status"], "verdict": answer["verdict"], "flash_attention": answer["flash_attention"]}


def print_report(report: dict[str, Any]) -> None:
    print(f"\n{report['machine']['gpu'] or 'CPU'} · torch {report['machine']['versions']['torch']}")
    print(f"doctor: {report['doctor']['verdict']}\n")
    print(f"{'case':<28}{'last loss':>10}{'s/step':>9}{'peak GB':>9}{'fit GB':>8}{'error':>8}")
    for case in report["cases"]:
        print(
            f"{case['name']:<28}{case['losses'][-1]:>10.3f}{case['seconds_per_step']:>9.3f}"
            f"{case['measured_bytes'] / 1e9:>9.2f}{case['estimated_bytes'] / 1e9:>8.2f}{case['error']:>+8.1%}"
        )
    for pair in report["agreement"]:
        print(f"{pair['pair']}: losses differ by {pair['difference']:.4f} (allowed {pair['allowed']:.3f})")
    print("\n".join(report["problems"]) or "no problems")


if __name__ == "__main__":
    main()
