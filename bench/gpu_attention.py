"""A training step on a CUDA GPU with cuDNN's attention allowed and without, and the kernels that one step launches.

usage: python bench/gpu_attention.py [--rows 16] [--json bench/results/gpu-attention.json]

Qwen3-0.6B's shape in bf16, movielora's trainer, real lengths: each batch has another one, and cuDNN plans anew for each
shape. Each side trains in a process of its own. Counted are the kernels of one step a layer and micro-batch, the time
in which the GPU computes, and where the host waits for it. Skips without a GPU.
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

from datasets_here import answer_trainer, dataset, qwen_shape, tiny_base, tokenized
from harness import skip
from places import PROJECT, RESULTS

_STEPS, _WARM_UP, _ROWS_A_STEP = 12, 3, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=_ROWS_A_STEP, help="a micro-batch; a divisor of 16")
    parser.add_argument("--json", type=Path, default=RESULTS / "gpu-attention.json")
    parser.add_argument("--side", choices=("without cuDNN", "with cuDNN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(_measure(options.rows, cudnn=options.side == "with cuDNN")))
        return
    import torch

    if not torch.cuda.is_available():
        skip("no CUDA GPU")
    report: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": options.rows}
    for side in ("without cuDNN", "with cuDNN"):
        command = [sys.executable, __file__, "--rows", str(options.rows), "--side", side]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        report[side] = json.loads(done.stdout.splitlines()[-1])
        print(f"{side}: {report[side]['seconds_per_step']:.3f} s/step, {report[side]['kernels_a_layer']:.0f} kernels")
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _measure(rows: int, *, cudnn: bool) -> dict[str, Any]:
    """In the child: train twelve steps; the last but one is profiled, the last one watched for waits of the host."""
    import torch

    from movielora.config import Config
    from movielora.model.base import choose_placement

    base = qwen_shape(28) or tiny_base()
    examples = tokenized(base, dataset() / "train.json", _STEPS * _ROWS_A_STEP, cutoff_len=1024)
    config = Config(
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=_ROWS_A_STEP // rows,
        max_steps=_STEPS,
        use_qlora=False,
        bf16=True,
        eval_strategy="no",
        load_best_model_at_end=False,
        early_stopping_patience=None,
        save_steps=_STEPS + 1,
        report_to=["none"],
    )
    placement = choose_placement(config)
    torch.backends.cuda.enable_cudnn_sdp(cudnn)  # after the placement, which sets it
    profile = torch.profiler.profile()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        trainer = answer_trainer(config, placement, base, examples, Path(folder), _STEPS)
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        clock = _clock(profile)
        trainer.add_callback(clock)
        trainer.train()
    kernels = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    waits = collections.Counter(
        f"{'/'.join(Path(warning.filename).parts[-2:])}:{warning.lineno}"
        for warning in seen
        if "synchronizing" in str(warning.message)
    )
    timed = [after - before for before, after in pairwise(clock.ends)][_WARM_UP - 1 : _STEPS - 3]
    return {
        "seconds_per_step": statistics.median(timed),
        "gpu_busy_seconds": sum(event.device_time for event in kernels) / 1e6,
        "kernels_a_step": len(kernels),
        "kernels_a_layer": len(kernels) / 28 / (_ROWS_A_STEP // rows),
        "host_waits": waits.most_common(),
    }


def _clock(profile: Any) -> Any:
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """When each step ended, with the profile of the last step but one."""

        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            torch.cuda.synchronize()
            if state.global_step == _STEPS - 2:
                profile.start()
            if state.global_step == _STEPS - 1:
                torch.cuda.set_sync_debug_mode("warn")

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize()
            self.ends.append(time.perf_counter())
            if state.global_step == _STEPS - 1:
                profile.stop()

    return Clock()


if __name__ == "__main__":
    main()
