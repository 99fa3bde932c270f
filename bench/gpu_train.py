"""Training on a CUDA GPU: the default config on Qwen3-0.6B's shape against plain TRL with the same values.

usage: python bench/gpu_train.py [--base DIR] [--steps 20] [--quick]

Cases: bf16 and 4-bit, micro-batch 2 (accumulation 8) and the largest that fits at the same effective batch of 16.
For each it prints steps a second, tokens a second, peak memory and model FLOP utilisation, and the losses are held
against each other at the start, where both adapters are zero. Written for torch 2.11 and transformers 5.17; skips
without a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from datasets_here import (
    answer_trainer,
    completion_rows,
    dataset,
    layers_of,
    peer_lora,
    qwen_shape,
    tiny_base,
    tokenized,
)
from harness import skip
from places import PROJECT, WORK
from report import Goal, build_report, judgement, save

_EFFECTIVE_BATCH = 16
_WARM_UP = 3
# Both start from an untouched base; the kernels differ, and bf16 losses are known to a hundredth.
_FIRST_LOSS_TOLERANCE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a Qwen3 folder; default: the 28-layer shape")
    parser.add_argument("--steps", type=int, default=20, help="timed optimiser steps")
    parser.add_argument("--quick", action="store_true", help="five steps, bf16 alone")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.steps = 5
    if options.case:
        print(json.dumps(_measure(json.loads(options.case))))
        return
    import torch

    if not torch.cuda.is_available():
        skip("no CUDA GPU")
    base = options.base or qwen_shape(28) or tiny_base()
    dataset()
    peak_flops = _matmul_flops()
    device = torch.cuda.get_device_properties(0)
    machine = {
        "gpu": {"name": device.name, "memory_bytes": device.total_memory},
        "measured_peak_flops_per_second": peak_flops,
    }
    for quantized in (False,) if options.quick else (False, True):
        sides = _compare(base, quantized, options.steps)
        needed = sides["movielora 2"]["flops_per_token"]  # of the same job: what a side does beyond it is no use
        for side in sides.values():
            side["mfu"] = needed * side["tokens_per_second"] / peak_flops
            print(_line(side), flush=True)
        report = _report(sides, layers_of(base), quick=options.quick) | machine
        print(f"  {judgement(report)}")
        save(report)


def _report(sides: dict[str, Any], layers: int, *, quick: bool) -> dict[str, Any]:
    """Of one precision: speed at the largest micro-batch against plain TRL at 2, memory at 2 against the same."""
    ours, peer, small = sides["movielora auto"], sides["trl 2"], sides["movielora 2"]
    same = sides.get(f"trl {ours['batch']}")  # None where it did not fit
    precision = "4-bit" if ours["quantized"] else "bf16"
    return build_report(
        f"gpu-train-{precision}",
        "a training step of the default config on a CUDA GPU, the largest micro-batch, against plain TRL at 2",
        {"movielora auto": ours, "trl 2": peer, **sides},
        (Goal("ratio", at_least=3), Goal("peak_bytes", at_most=5e9)),
        {
            "ratio": peer["seconds"] / ours["seconds"],
            **({"ratio_at_same_batch": same["seconds"] / ours["seconds"]} if same else {}),
            "memory_ratio": small["peak_bytes"] / peer["peak_bytes"],
            "peak_bytes": small["peak_bytes"],
        },
        quick=quick,
        unit="s/step",
        work={"layers": layers, "dtype": precision, "micro-batch": ours["batch"], "rows a step": _EFFECTIVE_BATCH},
    )


def _compare(base: Path, quantized: bool, steps: int) -> dict[str, Any]:
    """All sides of one precision; movielora's largest micro-batch that fits is found by trying."""
    common = {"base": str(base), "quantized": quantized, "steps": steps}
    sides = {
        "movielora 2": _child({**common, "who": "movielora", "batch": 2}),
        "trl 2": _child({**common, "who": "trl", "batch": 2}),
    }
    for batch in (16, 8, 4):
        side = _child({**common, "who": "movielora", "batch": batch}, may_fail=True)
        if side:
            sides["movielora auto"] = side
            peer = _child({**common, "who": "trl", "batch": batch}, may_fail=True)
            if peer:
                sides[f"trl {batch}"] = peer
            break
    else:
        sides["movielora auto"] = sides["movielora 2"]
    ours, peers = sides["movielora 2"]["losses"][0], sides["trl 2"]["losses"][0]
    assert abs(ours - peers) <= _FIRST_LOSS_TOLERANCE * abs(peers), f"first losses differ: {ours} and {peers}"
    return sides


def _child(case: dict[str, Any], *, may_fail: bool = False) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    print(f"measuring: {case['who']}, micro-batch {case['batch']} …", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    if done.returncode == 0:
        return {**case, "base": Path(case["base"]).name, **json.loads(done.stdout.strip().splitlines()[-1])}
    if may_fail and "out of memory" in done.stderr:
        return {}
    sys.exit(f"{case['who']} failed:\n{done.stderr[-3000:]}")


def _line(side: dict[str, Any]) -> str:
    precision = "4-bit" if side["quantized"] else "bf16"
    return (
        f"  {side['who']:10} {precision:6} micro-batch {side['batch']:3}: {1 / side['seconds']:6.2f} steps/s, "
        f"{side['tokens_per_second']:9,.0f} tokens/s, peak {side['peak_bytes'] / 1e9:5.2f} GB, MFU {side['mfu']:.1%}"
    )


def _matmul_flops(size: int = 8192, rounds: int = 20) -> float:
    """Floating-point operations a second of a large bf16 matrix product here: what MFU is a share of."""
    import torch

    one = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        one @ one
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(rounds):
        one @ one
    torch.cuda.synchronize()
    return 2 * size**3 * rounds / (time.perf_counter() - started)


def _measure(case: dict[str, Any]) -> dict[str, Any]:
    """In the child: train and say how it went."""
    import torch
    from transformers import TrainerCallback

    from movielora.training.loop.utilisation import flops_per_token

    count = (case["steps"] + _WARM_UP) * _EFFECTIVE_BATCH
    examples = tokenized(Path(case["base"]), dataset() / "train.json", count, cutoff_len=1024)
    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            torch.cuda.synchronize()
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        trainer = (_ours if case["who"] == "movielora" else _peer)(case, examples, Path(folder))
        trainer.add_callback(Clock())
        torch.cuda.reset_peak_memory_stats()
        trainer.train()
    seconds = statistics.median(after - before for before, after in list(pairwise(ends))[_WARM_UP - 1 :])
    tokens = float(examples.lengths.mean() + 2) * _EFFECTIVE_BATCH
    return {
        "seconds": seconds,
        "rows_per_second": _EFFECTIVE_BATCH / seconds,
        "tokens_per_second": tokens / seconds,
        "flops_per_token": flops_per_token(trainer.model),
        "peak_bytes": torch.cuda.max_memory_allocated(),
        "attention": trainer.model.config._attn_implementation,
        "liger_kernel": "liger_kernel.transformers" in sys.modules,
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
    }


def _ours(case: dict[str, Any], examples: Any, folder: Path) -> Any:
    from movielora.config import Config
    from movielora.model.base import choose_placement

    steps = case["steps"] + _WARM_UP
    config = Config(
        per_device_train_batch_size=case["batch"],
        gradient_accumulation_steps=_EFFECTIVE_BATCH // case["batch"],
        max_steps=steps,
        use_qlora=case["quantized"],
        bf16=True,
        eval_strategy="no",
        load_best_model_at_end=False,
        early_stopping_patience=None,
        logging_steps=1,
        save_steps=steps + 1,
        report_to=["none"],
    )
    return answer_trainer(config, choose_placement(config), Path(case["base"]), examples, folder, steps)


def _peer(case: dict[str, Any], examples: Any, folder: Path) -> Any:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from movielora.training.loop.sampler import LengthGroupedSampler

    rows = completion_rows(examples, LengthGroupedSampler(examples.lengths, case["batch"], _EFFECTIVE_BATCH, 42))
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        case["base"],
        dtype=torch.bfloat16,
        device_map={"": 0},
        **({"quantization_config": four_bit} if case["quantized"] else {}),
    )
    steps = case["steps"] + _WARM_UP
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=case["batch"],
            gradient_accumulation_steps=_EFFECTIVE_BATCH // case["batch"],
            learning_rate=1.5e-4,
            max_steps=steps,
            lr_scheduler_type="cosine",
            warmup_steps=round(0.03 * steps),
            bf16=True,
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
            completion_only_loss=True,
            max_length=1024,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(case["base"]),
        peft_config=peer_lora(0.05),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


if __name__ == "__main__":
    main()
