"""The model under an adapter."""

from __future__ import annotations

from typing import Any


def causal_lm_of(model: Any) -> Any:
    """transformers' own model: what `model` is, or what PEFT wraps."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
