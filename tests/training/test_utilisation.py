"""The arithmetic of a trained token, worked by hand for the embedded model."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from movielora.model.answer_layer import install_answer_layer
from movielora.training.loop.utilisation import flops_per_token, measure_peak


def test_frozen_weights_cost_four_operations_and_trained_ones_six(tiny_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base).requires_grad_(False)
    # A layer: q 64·64 + k, v 2·64·32 + o 64·64 + gate, up, down 3·64·192 = 49,152 weights; there are two.
    assert flops_per_token(model) == 4 * 2 * 49_152
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"]))
    # Each layer's q_proj gets A (4, 64) and B (64, 4).
    assert flops_per_token(adapted) == 4 * 2 * 49_152 + 6 * 2 * (4 * 64 + 64 * 4)


def test_of_a_last_layer_read_at_the_answers_only_keys_and_values_count(tiny_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base).requires_grad_(False)
    assert install_answer_layer(model)
    assert flops_per_token(model) == 4 * (49_152 + 2 * 64 * 32)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]))
    first, last = 6 * (4 * 64 + 64 * 4 + 4 * 64 + 32 * 4), 6 * (4 * 64 + 32 * 4)
    assert flops_per_token(adapted) == 4 * (49_152 + 2 * 64 * 32) + first + last


def test_a_peak_is_measured() -> None:
    assert measure_peak("cpu", torch.float32) > 0
