"""Which adapters are computed exactly as PEFT computes them, decided by their config and the names of their weights.

Scoring reads the answer from the base's own vocabulary weights, and the base is scored with the adapter switched off
(PEFT's `disable_adapter`). So an adapter is taken only if it is LoRA on the decoder's layers and leaves every weight of
the base as it is. Anything else is refused by name; a key that is not known here is refused too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from movielora.errors import ModelError

# Keys of adapter_config.json that may have any value: names, training, and what PEFT's own layers do with LoRA.
# `tests/model/test_adapter_kinds.py` compares each with plain PEFT.
_ANY_VALUE = frozenset(
    {
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", "eva_config", "exclude_modules", "fan_in_fan_out",
        "inference_mode", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_bias", "lora_dropout",
        "megatron_core", "peft_version", "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config",
        "target_modules", "use_dora", "use_rslora",
    }
)  # fmt: skip
# Keys that may have these values only. Of the ways to start LoRA these leave the base's weights as they are.
_ONE_OF: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none", None),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
_WEIGHTS = (".lora_A.weight", ".lora_B.weight", ".lora_B.bias", ".lora_magnitude_vector")
_NOT_DECODER = (".lm_head.", ".embed_tokens.")
_INSTEAD = "merge it with PEFT and name the merged folder as model_name_or_path, or train a LoRA adapter without it"


def refuse_inexact(facts: Mapping[str, Any], weights: Iterable[str], adapter_dir: Path) -> None:
    """Raise ModelError naming what of an adapter would be computed otherwise than PEFT computes it.

    `facts` is its adapter_config.json, `weights` the names in its adapter_model.safetensors.
    """
    found = [f"`{key}: {_short(value)}`" for key, value in facts.items() if not _is_exact(key, value)]
    if not found:
        found = [f"weights of {name}" for name in _foreign_weights(weights)]
    if found:
        raise ModelError(
            f"the adapter {adapter_dir} has {', '.join(found)}: movielora computes LoRA on the decoder's layers only",
            _INSTEAD,
        )


def refuse_unmergeable(facts: Mapping[str, Any], adapter_dir: Path) -> None:
    """Raise ModelError for an adapter that is scored exactly and that the base's layers have no place for."""
    if facts.get("lora_bias"):
        raise ModelError(
            f"the adapter {adapter_dir} has `lora_bias: true`: the base's layers have no bias to add it to",
            "keep base and adapter apart",
        )


def _is_exact(key: str, value: Any) -> bool:
    if key in _ANY_VALUE:
        return True
    if key in _ONE_OF:
        return any(value is allowed or (isinstance(value, str) and value == allowed) for allowed in _ONE_OF[key])
    return not value  # off, or empty


def _foreign_weights(names: Iterable[str]) -> list[str]:
    """The modules whose weights are no LoRA of a decoder's layer, each once."""
    foreign = (name for name in names if not name.endswith(_WEIGHTS) or any(part in name for part in _NOT_DECODER))
    return sorted({name.removeprefix("base_model.model.") for name in foreign})


def _short(value: Any, most: int = 60) -> str:
    text = "true" if value is True else str(value)
    return text if len(text) <= most else f"{text[:most]}…"
