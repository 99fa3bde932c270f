"""What the names in a config stand for, and the keys that have no effect."""

from __future__ import annotations

# What an evaluation in training gives, and whether more is better; a test holds the two together. `uauc` only if
# the users are known.
METRIC_DIRECTIONS: dict[str, bool] = {
    "accuracy": True,
    "precision": True,
    "recall": True,
    "f1": True,
    "auc": True,
    "uauc": True,
    "log_loss": False,
    "answer_mass": True,
    "loss": False,
}

# `lora_target` shorthands → module names of the Qwen3 decoder layer.
LORA_TARGETS: dict[str, tuple[str, ...]] = {
    "all": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "qv": ("q_proj", "v_proj"),
    "fn": ("gate_proj", "up_proj", "down_proj"),
}

# Keys that cannot change anything here → why, as shown to the user.
NO_EFFECT: dict[str, str] = {
    "do_train": "`movielora train` trains",
    "do_eval": "`eval_strategy` decides when to evaluate",
    "template": "the model's own chat template is used",
    "enable_special_tokenization": "text from data never becomes a control token",
    "packing": "rows of similar length are batched together instead",
    "num_proc": "each distinct piece of text is tokenized once, in one process",
    "eval_accumulation_steps": "evaluation keeps two numbers a row",
    "skip_memory_metrics": "peak memory is always recorded",
    "prediction_loss_only": "the metrics come from the same forward pass as the loss",
    "inference.use_peft_directly": "the adapter is always loaded with PEFT",
}
