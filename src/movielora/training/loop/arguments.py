"""The config in the form that TRL's trainer and the optimiser take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trl import SFTConfig

from movielora.config import Config
from movielora.model.base import Placement


def training_arguments(config: Config, output_dir: Path, placement: Placement, steps: int) -> SFTConfig:
    """The config as transformers' and TRL's arguments. What they would do unasked is switched off."""
    return SFTConfig(
        output_dir=str(output_dir),
        per_device_train_batch_size=config.micro_batch,
        per_device_eval_batch_size=config.per_device_eval_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        num_train_epochs=config.num_train_epochs,
        max_steps=config.max_steps,
        lr_scheduler_type=config.lr_scheduler_type,
        # A count, not a ratio: below 1 the library reads a ratio, and 1.0 would mean one step.
        warmup_steps=round(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        gradient_checkpointing=config.gradient_checkpointing,
        # The base is loaded in its precision; autocast would only cast the activations back and forth.
        bf16=False,
        fp16=config.fp16,
        use_cpu=placement.device == "cpu",
        ddp_timeout=config.ddp_timeout,
        eval_strategy=config.eval_strategy,
        eval_steps=config.eval_steps if config.eval_strategy == "steps" else None,
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=None,  # ours: the library would delete the newest of two, and with it the resume
        # The best adapter is loaded and re-scored from the saved files at the end (train.py), not from memory.
        load_best_model_at_end=False,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        report_to=[],  # train.py adds TensorBoard with the run's own folder
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=placement.device == "cuda",
        disable_tqdm=True,
        log_level="error",
    )


def optimizer_options(args: SFTConfig) -> dict[str, Any]:
    """What AdamW takes of the trainer's arguments."""
    return {
        "lr": args.learning_rate,
        "betas": (args.adam_beta1, args.adam_beta2),
        "eps": args.adam_epsilon,
        "fused": True,
    }
