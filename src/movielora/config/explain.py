"""What `movielora config --explain KEY` says of a key.

Meaning, type, default and what a change means on resume come from where the key is declared; unit, example and what it
excludes are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any

from pydantic.fields import FieldInfo

from movielora.config.keys import Config, InferenceConfig
from movielora.config.named_values import LORA_TARGETS, METRIC_DIRECTIONS, NO_EFFECT
from movielora.config.on_resume import rules
from movielora.config.paths import INPUT_PATHS, OUTPUT_PATHS
from movielora.config.resolve import allowed, known_keys, not_a_key
from movielora.config.synonyms import ELSEWHERE, key_named, names_elsewhere, plain_name
from movielora.config.texts import text_kinds
from movielora.config.yaml_file import dump_inline
from movielora.errors import ConfigError, shell_command

_UNITS: dict[str, tuple[str, ...]] = {
    "optimiser steps": ("max_steps", "eval_steps", "save_steps", "logging_steps"),
    "passes over the training examples": ("num_train_epochs",),
    "rows": (
        "per_device_train_batch_size", "per_device_eval_batch_size", "effective_batch_size", "max_samples",
        "max_eval_samples", "inference.batch_size", "inference.chunk_size", "inference.max_samples",
        "inference.show_examples",
    ),
    "micro-batches": ("gradient_accumulation_steps",),
    "tokens": ("cutoff_len",),
    "films": ("prompt_history_len",),
    "checkpoints": ("save_total_limit",),
    "evaluations": ("early_stopping_patience",),
    "logs": ("loss_plateau_patience",),
    "nats (training loss)": ("loss_plateau_min_delta",),
    "share of the steps": ("warmup_ratio",),
    "seconds": ("ddp_timeout",),
    "no unit": (
        "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "seed", "lora_rank", "lora_alpha",
    ),
    "probability": ("lora_dropout",),
    "gradient norm": ("max_grad_norm",),
    "processes": ("num_proc",),
}  # fmt: skip
_UNIT_OF = {key: unit for unit, keys in _UNITS.items() for key in keys}

# A value somebody writes, if it is not the default that explains a key best.
_EXAMPLES: dict[str, Any] = {
    "model_name_or_path": "Qwen/Qwen3-1.7B",
    "use_qlora": True,
    "dataset_dir": "$SCRATCH/data",
    "dataset": "movielens_qwen3_train",
    "eval_dataset": "movielens_qwen3_eval",
    "train_file": "data/movielens_qwen3/train.json",
    "eval_file": "data/movielens_qwen3/eval.json",
    "max_samples": 5000,
    "max_eval_samples": 2000,
    "prompt_history_len": 20,
    "prompt_titles": "natural",
    "system_prompt": "Answer Yes or No.",
    "instruction": "Will this user like the film?",
    "preprocessing_cache_dir": "~/.cache/movielora",
    "effective_batch_size": 16,
    "learning_rate": 3e-4,
    "max_steps": 500,
    "lora_target": ["q_proj", "v_proj"],
    "bf16": True,
    "metric_for_best_model": "auc",
    "early_stopping_patience": 5,
    "loss_plateau_patience": 20,
    "output_dir": "$SCRATCH/runs/first",
    "report_to": ["none"],
    "inference.test_file": "data/movielens_qwen3/test.jsonl",
    "inference.infer_output_dir": "output/first/comparison",
    "inference.adapter_dir": "output/first",
    "inference.batch_size": 64,
    "inference.max_samples": 1000,
}

# What cannot be set beside a key; `contradictions.py` refuses it, and a test compares the two.
EXCLUDES: dict[str, str] = {
    "effective_batch_size": "another value than per_device_train_batch_size times gradient_accumulation_steps",
    "enable_liger_kernel": "torch_compile: true, if this is true",
    "torch_compile": "enable_liger_kernel: true",
    "fp16": "bf16: true",
    "bf16": "fp16: true, if this is true",
    "metric_for_best_model": f"any name but {', '.join(METRIC_DIRECTIONS)}",
    "load_best_model_at_end": "eval_strategy: no, if this is true",
    "early_stopping_patience": "eval_strategy: no",
    "eval_strategy": "load_best_model_at_end: true and early_stopping_patience, if this is no",
    "lora_target": "lm_head among the modules, and empty names",
    "max_steps": "0",
}


@dataclass(frozen=True)
class KeyExplanation:
    """One key, which the user called `asked`. `example` is YAML, `option` the same for a command line.

    Every text but `key`, `asked`, `meaning`, `takes` and `on_resume` may be empty.
    """

    key: str
    asked: str
    meaning: str
    takes: str
    unit: str
    default: Any
    example: str
    option: str
    excludes: str
    on_resume: str
    elsewhere: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object that `movielora config --explain KEY --json` prints."""
        return asdict(self) | {"elsewhere": list(self.elsewhere)}


def explain_key(asked: str) -> KeyExplanation:
    """Explain the key that `asked` is, or means under a name it has elsewhere.

    Raises ConfigError with the nearest key if there is none.
    """
    if not plain_name(asked).strip():
        raise ConfigError("--explain was given no key", "movielora config lists every key")
    if asked == "inference":
        raise ConfigError("`inference` is a block of keys", "movielora config --explain inference.batch_size")
    known = known_keys()
    key = key_named(asked, known)
    if key is None and plain_name(asked) not in ELSEWHERE:
        raise ConfigError(not_a_key(asked, None, set(known)), "movielora config lists every key")
    if key is None:
        raise ConfigError(f"`{asked}` is no key: {ELSEWHERE[plain_name(asked)]}", "movielora config lists every key")
    default = _field(key).get_default()
    return KeyExplanation(
        key=key,
        asked=asked,
        meaning=f"No effect: {NO_EFFECT[key]}." if key in NO_EFFECT else _meaning(key),
        takes="; ".join((allowed(_schema(key)), *_notes(key))),
        unit=_UNIT_OF.get(key, ""),
        default=default,
        example=_example(key, default),
        option=_option(key, default),
        excludes=EXCLUDES.get(key, ""),
        on_resume=_on_resume(key),
        elsewhere=names_elsewhere(key),
    )


def first_sentence(key: str) -> str:
    """The meaning of a key in a line, for lists of keys."""
    return re.split(r"(?<=[.;]) ", _meaning(key))[0].rstrip(".;")


def values_of(key: str) -> list[str]:
    """The values of a key that takes one of a few, as they are written; empty for every other key."""
    return sorted(set(_named_values(_schema(key)))) if key in known_keys() else []


def _named_values(schema: dict[str, Any]) -> Iterator[str]:
    named = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    yield from (value if isinstance(value, str) else dump_inline(value) for value in named)
    if schema.get("type") == "boolean":
        yield from ("false", "true")
    for part in (*schema.get("anyOf", ()), *filter(None, [schema.get("items")])):
        yield from _named_values(part)


def _field(key: str) -> FieldInfo:
    group, _, name = key.rpartition(".")
    return (InferenceConfig if group else Config).model_fields[name]


def _schema(key: str) -> dict[str, Any]:
    group, _, name = key.rpartition(".")
    found: dict[str, Any] = (InferenceConfig if group else Config).model_json_schema()["properties"][name]
    return found


def _meaning(key: str) -> str:
    return " ".join((_field(key).description or "").split())


def _notes(key: str) -> Iterator[str]:
    if key in INPUT_PATHS | OUTPUT_PATHS:
        yield "~, $NAME and ${NAME} are written out, $$ is a dollar sign"
    if key in INPUT_PATHS:
        yield "looked for from the working directory, then from the folder above the config's"
    if NoneType in text_kinds(key):
        yield 'in --set, null is null and "null" the word'
    if key == "lora_target":
        yield f"or a name: {', '.join(LORA_TARGETS)}"


def _example(key: str, default: Any) -> str:
    value = _EXAMPLES.get(key, default)
    group, _, name = key.rpartition(".")
    if value is None:
        return ""
    return f"{group}: {{{name}: {dump_inline(value)}}}" if group else f"{key}: {dump_inline(value)}"


def _option(key: str, default: Any) -> str:
    value = _EXAMPLES.get(key, default)
    if value is None:
        return ""
    return shell_command("--set", f"{key}={value if isinstance(value, str) else dump_inline(value)}")


def _on_resume(key: str) -> str:
    """What a changed value means for a run that is continued."""
    if key not in Config.model_fields:
        return "may change: training does not read it"
    rule = rules(Config)[key]
    match rule.rule if rule else "free":
        case "fixed":
            return "must stay: another value is another training"
        case "warns":
            return f"may change: {rule.consequence if rule else ''}"
        case _:
            return "may change"
