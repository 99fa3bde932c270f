"""The memory estimate: its activations against what autograd keeps, its weights against real models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from movielora.config import Config
from movielora.errors import ModelError
from movielora.model.base import choose_precision
from movielora.model.estimates.memory import (
    Setup,
    Shape,
    estimate,
    read_shape,
    saved_bytes_of_a_layer,
    saved_bytes_of_answer_layer,
    setup_of,
)
from movielora.model.estimates.recommendation import MEMORIES, recommend

GIB = 1 << 30
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Widths that are all different, so that no term can hide behind another.
SMALL = {
    "model_type": "qwen3",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,
    "tie_word_embeddings": True,
}
QWEN3 = SMALL | {
    "vocab_size": 151_936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
ROWS, TOKENS = 2, 64
ON_GPU = Setup("cuda", 2, 1024, 16, ALL, 16, 0.05, quantized=False, checkpointing=False)


def _peft_model(layers: int, setup: Setup, model_type: str = "qwen3") -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from movielora.model.adapter import prepare_adapter

    values = {key: value for key, value in SMALL.items() if key != "model_type"} | {"num_hidden_layers": layers}
    config = AutoConfig.for_model(model_type, **values)
    dtype = torch.bfloat16 if setup.base_bytes == 2 else torch.float32
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager" if setup.eager else "sdpa")
    model = model.to(dtype).requires_grad_(False)
    lora = LoraConfig(r=setup.rank, lora_dropout=setup.dropout, target_modules=list(setup.targets))
    return prepare_adapter(get_peft_model(model, lora)).train()


def _kept_bytes(model: Any, forward: Callable[[], Any]) -> int:
    """Bytes of the distinct storages that autograd keeps in `forward`, parameters left out."""
    import torch

    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(held.untyped_storage().nbytes() for place, held in kept.items() if place not in parameters)


def _kept_by_a_plain_pass(model: Any) -> int:
    import torch

    ids = torch.zeros(ROWS, TOKENS, dtype=torch.long)
    return _kept_bytes(model, lambda: model(input_ids=ids, logits_to_keep=1, use_cache=False))


@pytest.mark.parametrize(
    ("base_bytes", "dropout", "targets", "model_type"),
    [
        (2, 0.0, ALL, "qwen3"),
        (2, 0.05, ALL, "qwen3"),
        (4, 0.0, ALL, "qwen3"),
        (4, 0.05, ALL, "qwen3"),
        (2, 0.05, ("q_proj", "v_proj"), "qwen3"),
        (4, 0.0, ("gate_proj", "up_proj", "down_proj"), "qwen3"),
        (2, 0.05, ALL, "llama"),
    ],
)
def test_activations_of_a_layer_are_what_autograd_keeps(
    base_bytes: int, dropout: float, targets: tuple[str, ...], model_type: str
) -> None:
    setup = Setup("cpu", ROWS, TOKENS, 0, targets, 8, dropout, False, False, base_bytes)
    more, fewer = (_kept_by_a_plain_pass(_peft_model(layers, setup, model_type)) for layers in (3, 2))
    expected = saved_bytes_of_a_layer(read_shape(SMALL | {"model_type": model_type}), setup)
    # Dropped-out places come in a random number, and with a reserve that shows at this size.
    assert (more - fewer) / (ROWS * TOKENS) == pytest.approx(expected, rel=0.03 if dropout else 1e-9)


def _kept_by_a_step(layers: int, setup: Setup, tokens: int) -> int:
    """Bytes that autograd keeps in a training step's forward pass over rows of `tokens` tokens."""
    import torch

    from movielora.model.answer_layer import install_answer_layer
    from movielora.scoring.answer_position import answer_loss

    model = _peft_model(layers, setup)
    assert install_answer_layer(model.get_base_model())
    model.get_base_model().enable_input_require_grads()  # as if a layer stood before the first one
    ids = torch.zeros(ROWS, tokens, dtype=torch.long)
    lengths, answers = torch.full((ROWS,), tokens - 1), torch.ones(ROWS, 2, dtype=torch.long)
    return _kept_bytes(model, lambda: answer_loss(model, ids, lengths, answers))


@pytest.mark.parametrize(
    ("base_bytes", "dropout", "targets"),
    [(2, 0.0, ALL), (2, 0.05, ALL), (4, 0.0, ALL), (2, 0.0, ("q_proj", "v_proj")), (4, 0.0, ("up_proj",))],
)
def test_the_last_layer_keeps_little_but_keys_and_values(
    base_bytes: int, dropout: float, targets: tuple[str, ...]
) -> None:
    setup = Setup("cpu", ROWS, TOKENS, 0, targets, 8, dropout, False, False, base_bytes)
    shape = read_shape(SMALL | {"model_type": "qwen3"})
    # What the answers themselves keep does not grow with the row.
    grown = _kept_by_a_step(1, setup, 3 * TOKENS) - _kept_by_a_step(1, setup, TOKENS)
    expected = saved_bytes_of_answer_layer(shape, setup)
    # Beside it: rotary cosines and sines, one table for all rows and layers, and the answers' mask of two queries for
    # each of the two heads that share a key.
    tables = base_bytes * (2 * 24 / ROWS + 2 * 2)
    assert grown / (ROWS * 2 * TOKENS) - tables == pytest.approx(expected, rel=0.03 if dropout else 1e-9)
    assert expected < 0.5 * saved_bytes_of_a_layer(shape, setup)
    more, fewer = (_kept_by_a_step(layers, setup, TOKENS) for layers in (3, 2))
    assert (more - fewer) / (ROWS * TOKENS) == pytest.approx(saved_bytes_of_a_layer(shape, setup), rel=0.03)


def test_weights_and_adapters_are_those_of_the_model() -> None:
    setup = Setup("cpu", ROWS, TOKENS, 0, ALL, 8, 0.0, False, False)
    model = _peft_model(2, setup)
    parts = estimate(read_shape(SMALL), setup).parts
    frozen = sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    head_norms = 2 * 2 * 24 * 2  # two layers' q_norm and k_norm: too small to be counted
    assert parts["base_weights"] == frozen - head_norms
    assert parts["adapters"] == trained
    assert parts["gradients"] == 2 * trained  # fp32 sums of bf16 adapters
    assert parts["optimizer"] == 3 * 2 * trained  # two moments and the masters, all fp32


def test_qwen3_has_its_published_size() -> None:
    """596,049,920 parameters in bf16, 440,401,920 of them in linear layers, which 4-bit packs."""
    shape = read_shape(QWEN3)
    plain = estimate(shape, ON_GPU).parts["base_weights"]
    assert abs(plain - 2 * 596_049_920) < 0.001 * plain
    packed = estimate(shape, replace(ON_GPU, quantized=True)).parts["base_weights"]
    assert packed == pytest.approx(2 * (596_049_920 - 440_401_920) + 440_401_920 * 0.5159, rel=0.001)


def test_parts_add_up_and_move_the_right_way() -> None:
    shape = read_shape(QWEN3)
    plain = estimate(shape, ON_GPU)
    assert plain.peak_bytes == sum(plain.parts.values())
    spared = estimate(shape, replace(ON_GPU, checkpointing=True))
    assert spared.parts["activations"] < 0.2 * plain.parts["activations"]
    assert estimate(shape, replace(ON_GPU, rows=4)).parts["activations"] == pytest.approx(
        2 * plain.parts["activations"], rel=0.01
    )
    many = estimate(shape, replace(ON_GPU, rows=1, eval_rows=512, checkpointing=True))
    assert many.parts["evaluation"] > 0
    assert estimate(shape, replace(ON_GPU, eval_rows=0)).parts["evaluation"] == 0
    assert estimate(shape, replace(ON_GPU, eager=True)).peak_bytes > 1.5 * plain.peak_bytes


def test_recommendations_keep_the_effective_batch_and_prefer_speed() -> None:
    shape = read_shape(QWEN3)
    last_rows = 0
    for memory in MEMORIES:
        found = recommend(shape, ON_GPU, memory, 16)
        assert found.fits
        assert found.peak_bytes <= found.usable < memory
        assert found.setup.rows * found.accumulation == 16
        assert not found.setup.quantized  # Qwen3-0.6B fits in 16 bits everywhere from 8 GiB on
        assert found.setup.rows >= last_rows
        last_rows = found.setup.rows


def test_recommendations_for_a_larger_model_come_down_step_by_step() -> None:
    large = Shape(36, 4096, 12_288, 4096, 1024, 32, 151_936, tied=False, head_norms=True)  # Qwen3-8B
    ways = [recommend(large, ON_GPU, size * GIB, 16).setup for size in (80, 24, 12)]
    assert [(way.quantized, way.checkpointing) for way in ways] == [(False, False), (False, True), (True, True)]
    assert not recommend(large, ON_GPU, 4 * GIB, 16).fits


def test_an_odd_effective_batch_is_kept_exactly() -> None:
    found = recommend(read_shape(QWEN3), ON_GPU, 24 * GIB, 7)
    assert found.setup.rows * found.accumulation == 7


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({key: value for key, value in SMALL.items() if key != "hidden_size"}, "has no hidden_size"),
        (SMALL | {"num_experts": 8}, "mixture of experts"),
        (SMALL | {"num_hidden_layers": "many"}, "no number"),
        (SMALL | {"num_attention_heads": 0, "head_dim": None}, "no number"),
    ],
)
def test_a_config_that_cannot_be_estimated_is_one_sentence(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read_shape(config)
    assert caught.value.next_step


def test_the_settings_come_from_the_config() -> None:
    config = Config(lora_target="qv", lora_dropout=0.0, cutoff_len=256, eval_strategy="no", flash_attn="eager")
    setup = setup_of(config, "cuda", bf16_is_fast=True)
    assert (setup.targets, setup.dropout, setup.tokens, setup.eval_rows) == (("q_proj", "v_proj"), 0.0, 256, 0)
    assert (setup.quantized, setup.base_bytes, setup.compute_bytes, setup.eager) == (True, 2, 2, True)


def test_precision_follows_the_device_where_the_config_is_silent() -> None:
    assert choose_precision(Config(), "cuda", bf16_is_fast=True) == ("bfloat16", True)
    assert choose_precision(Config(), "cpu", bf16_is_fast=False) == ("float32", False)
    assert choose_precision(Config(bf16=True, use_qlora=True), "cpu", bf16_is_fast=False) == ("bfloat16", True)
    assert choose_precision(Config(fp16=True), "cuda", bf16_is_fast=True) == ("float32", True)
