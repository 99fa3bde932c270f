"""Keys of a config that do not agree with each other."""

from __future__ import annotations

from typing import Any

from movielora.config.named_values import METRIC_DIRECTIONS


class ContradictionError(ValueError):
    """Keys that do not agree: (key, sentence) of each."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in found))
        self.found = found


def contradictions(config: Any) -> list[tuple[str, str]]:
    """The (key, sentence) of each contradiction in `config`, a `Config`, whose module imports this one."""
    return [(key, text) for wrong, key, text in _checks(config) if wrong]


def _checks(config: Any) -> list[tuple[bool, str, str]]:
    """(whether it is one, the key it is reported under, what to say)."""
    no_eval = config.eval_strategy == "no"
    targets = config.target_modules
    auto = config.per_device_train_batch_size == "auto"
    whole = config.effective_batch_size
    return [
        (
            whole is not None and not auto and whole != config.rows_per_step,
            "effective_batch_size",
            f"`effective_batch_size: {whole}` is not `per_device_train_batch_size` × `gradient_accumulation_steps` "
            f"({config.per_device_train_batch_size} × {config.gradient_accumulation_steps}): leave one of them out",
        ),
        (
            config.enable_liger_kernel is True and config.torch_compile,
            "enable_liger_kernel",
            "`enable_liger_kernel: true` and `torch_compile: true` fuse the same operations: choose one",
        ),
        (config.fp16 and config.bf16 is True, "fp16", "`fp16` and `bf16` exclude each other: choose one"),
        (
            config.best_metric not in METRIC_DIRECTIONS,
            "metric_for_best_model",
            f"`metric_for_best_model: {config.metric_for_best_model}` is no metric; "
            f"choose one of {', '.join(METRIC_DIRECTIONS)}",
        ),
        (
            no_eval and config.load_best_model_at_end,
            "load_best_model_at_end",
            "`load_best_model_at_end: true` needs evaluations, but `eval_strategy` is `no`",
        ),
        (
            no_eval and config.early_stopping_patience is not None,
            "early_stopping_patience",
            "`early_stopping_patience` needs evaluations, but `eval_strategy` is `no`",
        ),
        (not all(targets), "lora_target", "`lora_target` holds an empty name"),
        (
            "lm_head" in targets,
            "lora_target",
            "`lora_target` must not name `lm_head`: the answer is read from its weights",
        ),
        (
            config.max_steps == 0,
            "max_steps",
            "`max_steps: 0` trains nothing; use -1 to follow `num_train_epochs`",
        ),
    ]
