"""What other programs call a key: the names of Hugging Face's Trainer, TRL, PEFT, LLaMA-Factory, axolotl and habit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_NAMES: dict[str, tuple[str, ...]] = {
    "model_name_or_path": (
        "model", "base", "base_model", "model_name", "model_id", "model_path", "pretrained_model_name_or_path",
    ),
    "flash_attn": ("attn_implementation", "attention", "flash_attention", "use_flash_attention_2", "sdpa_attention"),
    "enable_liger_kernel": ("liger", "liger_kernel", "use_liger", "use_liger_kernel"),
    "use_qlora": (
        "qlora", "load_in_4bit", "load_in_8bit", "quantization", "quantization_bit", "quantize", "use_4bit", "4bit",
        "bits", "bnb_4bit_quant_type",
    ),
    "dataset_dir": ("data_dir", "data_folder", "data"),
    "dataset": ("dataset_name", "datasets", "train_dataset"),
    "eval_dataset": ("val_dataset", "validation_dataset"),
    "train_file": ("train_data", "train_path", "data_path", "data_file", "training_file", "dataset_path"),
    "eval_file": ("eval_data", "eval_path", "val_file", "valid_file", "validation_file", "dev_file"),
    "inference.test_file": ("test_data", "test_path", "test_dataset"),
    "max_samples": ("max_train_samples", "train_samples", "num_samples", "subset"),
    "max_eval_samples": ("eval_samples", "max_val_samples"),
    "cutoff_len": (
        "max_length", "max_len", "max_seq_length", "max_seq_len", "seq_len", "sequence_len", "sequence_length",
        "model_max_length", "block_size", "context_length", "max_tokens", "cutoff", "cutoff_length",
    ),
    "prompt_titles": ("titles", "title_order", "title_format"),
    "prompt_history_len": ("history", "history_len", "history_length", "max_history"),
    "system_prompt": ("system", "default_system", "system_message", "system_text"),
    "instruction": ("prompt", "question"),
    "preprocessing_cache_dir": ("cache_dir", "cache", "dataset_prepared_path", "tokenized_path"),
    "per_device_train_batch_size": (
        "batch_size", "bs", "batch", "train_batch_size", "micro_batch_size", "micro_batch", "per_gpu_train_batch_size",
        "per_device_batch_size",
    ),
    "per_device_eval_batch_size": (
        "eval_batch_size", "val_batch_size", "test_batch_size", "per_gpu_eval_batch_size",
    ),
    "gradient_accumulation_steps": (
        "gradient_accumulation", "grad_accum", "grad_accumulation", "accumulation_steps", "accumulate_grad_batches",
        "accumulation", "grad_accum_steps", "ga",
    ),
    "effective_batch_size": ("global_batch_size", "total_batch_size", "total_train_batch_size"),
    "learning_rate": ("lr", "lrate", "base_lr", "max_lr", "peak_lr", "step_size", "eta"),
    "num_train_epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs", "train_epochs"),
    "max_steps": ("steps", "max_iters", "iterations", "num_steps", "num_train_steps", "max_train_steps", "iters"),
    "lr_scheduler_type": ("scheduler", "lr_scheduler", "lr_schedule", "schedule", "scheduler_type"),
    "warmup_ratio": ("warmup", "warmup_steps", "warmup_proportion", "num_warmup_steps"),
    "weight_decay": ("wd", "decay", "l2"),
    "adam_beta1": ("beta1", "adam_b1"),
    "adam_beta2": ("beta2", "adam_b2"),
    "adam_epsilon": ("eps", "epsilon", "adam_eps"),
    "max_grad_norm": ("grad_norm", "clip", "grad_clip", "gradient_clipping", "clip_grad_norm", "gradient_clip_val"),
    "seed": ("random_seed", "data_seed", "random_state"),
    "lora_rank": ("r", "rank", "lora_r", "lora_dim", "lora_rank_dim"),
    "lora_alpha": ("alpha", "lora_scaling", "lora_scale"),
    "lora_dropout": ("dropout", "lora_p"),
    "lora_target": (
        "target_modules", "lora_target_modules", "lora_modules", "modules", "targets", "lora_target_linear",
    ),
    "use_rslora": ("rslora", "rs_lora", "peft_use_rslora"),
    "gradient_checkpointing": ("grad_checkpointing", "activation_checkpointing", "use_gradient_checkpointing"),
    "torch_compile": ("compile", "compile_model"),
    "bf16": ("bfloat16", "dtype", "torch_dtype", "precision", "mixed_precision", "pure_bf16"),
    "fp16": ("float16", "half", "amp"),
    "eval_strategy": ("evaluation_strategy", "evaluate_during_training", "do_evaluation"),
    "eval_steps": ("eval_interval", "eval_every", "evaluation_steps", "evals_per_epoch", "val_check_interval"),
    "output_dir": ("output", "out", "out_dir", "output_path", "save_dir", "run_dir", "logging_dir", "checkpoint_dir"),
    "save_steps": ("save_interval", "save_every", "checkpoint_steps", "checkpoint_every", "saves_per_epoch"),
    "save_total_limit": ("keep_checkpoints", "max_checkpoints", "keep_last"),
    "metric_for_best_model": ("metric", "best_metric", "monitor", "early_stopping_metric"),
    "early_stopping_patience": ("patience", "early_stopping", "early_stop", "early_stopping_steps"),
    "logging_steps": ("log_steps", "log_every", "log_interval", "logging_interval", "log_every_n_steps"),
    "report_to": ("logger", "loggers", "log_to", "use_tensorboard", "tensorboard"),
    "inference.batch_size": ("infer_batch_size", "inference_batch_size"),
    "inference.infer_output_dir": ("comparison_dir", "compare_dir"),
    "inference.adapter_dir": ("adapter", "adapter_name_or_path", "lora_path", "peft_model_id"),
}  # fmt: skip

_REVISION = "hf download NAME --revision R --local-dir FOLDER fetches one; then model_name_or_path: FOLDER"
_ONE_PROCESS = "movielora trains in one process on one GPU"
_SCORED = "an answer is the score of Yes against that of No, not generated text"

# Names of settings that are not keys here → what does their work.
ELSEWHERE: dict[str, str] = {
    "resume_from_checkpoint": "movielora train --resume continues a run",
    "overwrite_output_dir": "movielora train --overwrite replaces a run",
    "run_name": "movielora train --name names a run",
    "optim": "AdamW is the only optimiser",
    "optimizer": "AdamW is the only optimiser",
    "val_set_size": "movielora prepare --val-ratio sets evaluation examples aside",
    "val_size": "movielora prepare --val-ratio sets evaluation examples aside",
    "test_size": "movielora prepare --test-ratio sets test examples aside",
    "save_strategy": "save_steps says how often a checkpoint is saved",
    "greater_is_better": "movielora knows which way each metric improves",
    "overwrite_cache": "movielora train --clear-cache ignores cached token ids",
    "revision": _REVISION,
    "model_revision": _REVISION,
    "local_rank": _ONE_PROCESS,
    "deepspeed": _ONE_PROCESS,
    "fsdp": _ONE_PROCESS,
    "max_new_tokens": _SCORED,
    "temperature": _SCORED,
}

_KEY_OF = {name: key for key, names in _NAMES.items() for name in names}
# How near a misspelling must be, of 1. The names of others are many and say less: `revision` is no `precision`.
_CLOSE, _CLOSE_ELSEWHERE = 0.75, 0.83


def plain_name(name: str) -> str:
    """`--Learning-Rate` → `learning_rate`."""
    return name.lstrip("-").replace("-", "_").lower()


def key_named(name: str, known: Iterable[str]) -> str | None:
    """The key among `known` that `name` means: itself, what others call `name`, or one in a block (`test_file`)."""
    keys, plain = set(known), plain_name(name)
    if plain in keys:
        return plain
    meant = _KEY_OF.get(plain) or _KEY_OF.get(plain.rpartition(".")[2])  # `peft.r` too
    inside = [key for key in sorted(keys) if "." in key and key.partition(".")[2] == plain]
    return meant if meant in keys else inside[0] if inside else None


def nearest_key(name: str, known: Iterable[str]) -> str | None:
    """The key among `known` that `name` means or is a misspelling of; None if nothing is near."""
    keys = sorted(known)
    if meant := key_named(name, keys):
        return meant
    plain = plain_name(name)
    if close := difflib.get_close_matches(plain, keys, n=1, cutoff=_CLOSE):
        return close[0]
    elsewhere = [synonym for synonym, key in _KEY_OF.items() if len(synonym) > 3 and key in keys]
    close = difflib.get_close_matches(plain, elsewhere, n=1, cutoff=_CLOSE_ELSEWHERE)
    return _KEY_OF[close[0]] if close else None


def names_elsewhere(key: str) -> tuple[str, ...]:
    """What other programs call `key`."""
    return _NAMES.get(key, ())
