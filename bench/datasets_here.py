"""The data and models that benchmarks work on: the real ones where they are, invented ones where not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import PROJECT, SHARED, WORK
from movielora.progress import SILENT


def dataset() -> Path:
    """The prepared dataset folder: of ml-latest-small, or of invented ratings where that is absent."""
    from movielora.data.prepare import prepare
    from movielora.data.prepare_options import PrepareOptions
    from movielora.data.synthetic import SyntheticSize, write_synthetic_movielens

    real = SHARED / "ml-latest-small"
    folder = WORK / ("movielens" if real.is_dir() else "synthetic")
    if not (folder / "meta.json").is_file():
        source = real
        if not real.is_dir():
            source = WORK / "invented_ratings"
            write_synthetic_movielens(source, SyntheticSize())
        prepare(source, folder, PrepareOptions(), SILENT)
    return folder


def tokenizer_folder() -> Path:
    """The real Qwen3 tokenizer, or the embedded base's where that is absent."""
    real = SHARED / "qwen3-tokenizer"
    return real if real.is_dir() else tiny_base()


def tiny_base() -> Path:
    from movielora.model.tiny import build_tiny_base

    return build_tiny_base(WORK)


def qwen_shape(layers: int) -> Path | None:
    """A randomly initialised model of Qwen3-0.6B's shape with `layers` layers; None without the shared folder."""
    script = SHARED / "make_qwen3_shape.py"
    if not script.is_file():
        return None
    folder = WORK / f"qwen3-{layers}-layers"
    if not (folder / "tokenizer.json").is_file():
        command = [sys.executable, str(script), str(folder), "--layers", str(layers)]
        subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)
    return folder


def random_adapter(base: Path, rank: int = 16) -> Path:
    """An adapter for `base` that changes its answers: both LoRA matrices random."""
    folder = WORK / f"adapter-{base.name}"
    if (folder / "adapter_model.safetensors").is_file():
        return folder
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=64,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )
    model = get_peft_model(model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)
    return folder
