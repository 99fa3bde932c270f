"""The last layer at the answers' positions gives what the whole layer gives there, gradients included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache

from movielora.model.adapter import prepare_adapter
from movielora.model.answer_layer import has_answer_layer, install_answer_layer

IDS = torch.tensor([[5, 9, 31, 7, 12, 40, 3], [8, 8, 2, 61, 4, 0, 0], [17, 23, 0, 0, 0, 0, 0]])
POSITIONS = torch.tensor([[5, 6], [3, 4], [0, 1]])
ROWS = torch.arange(3).unsqueeze(1)


def _model(base: Path, attention: str = "sdpa") -> Any:
    """Plain, straight from transformers: nothing of movielora touches it."""
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=attention)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_answers_states_are_the_whole_layers(tiny_base: Path, attention: str) -> None:
    model = _model(tiny_base, attention)
    decoder = model.get_decoder()
    whole = decoder(input_ids=IDS).last_hidden_state[ROWS, POSITIONS]
    assert not has_answer_layer(model)
    assert install_answer_layer(model)
    assert has_answer_layer(model)
    alone = decoder(input_ids=IDS, answer_positions=POSITIONS).last_hidden_state
    assert alone.shape == whole.shape == (3, 2, whole.shape[-1])
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)
    # Unasked, the layer is Qwen3's own, so generation goes on as ever.
    torch.testing.assert_close(decoder(input_ids=IDS).last_hidden_state[ROWS, POSITIONS], whole, rtol=0, atol=0)


def test_behind_a_cache_positions_count_from_its_end(tiny_base: Path) -> None:
    model = _model(tiny_base)
    decoder = model.get_decoder()
    opening = torch.tensor([[90, 91, 92, 93]]).expand(3, -1)
    whole = decoder(input_ids=torch.cat([opening, IDS], dim=1)).last_hidden_state[ROWS, 4 + POSITIONS]
    install_answer_layer(model)
    cache = DynamicCache()
    decoder(input_ids=opening, past_key_values=cache, use_cache=True)
    alone = decoder(input_ids=IDS, past_key_values=cache, use_cache=True, answer_positions=POSITIONS).last_hidden_state
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_the_whole_layers(tiny_base: Path, checkpointing: bool) -> None:
    found = []
    for at_answers in (False, True):
        torch.manual_seed(3)
        model = _model(tiny_base)
        if at_answers:
            install_answer_layer(model)
        config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, lora_dropout=0.0)
        adapted = prepare_adapter(peft.get_peft_model(model, config)).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        alone = {"answer_positions": POSITIONS} if at_answers else {}
        states = model.get_decoder()(input_ids=IDS, use_cache=False, **alone).last_hidden_state
        picked = states if at_answers else states[ROWS, POSITIONS]
        (picked * torch.linspace(-1, 1, picked.numel()).view_as(picked)).sum().backward()
        found.append({name: value.grad for name, value in adapted.named_parameters() if value.requires_grad})
    plain, ours = found
    assert len(plain) == 2 * 2 * 7  # two matrices at seven places of two layers
    for name, gradient in plain.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(("what", "value"), [("sliding_window", 4), ("attention_dropout", 0.1)])
def test_a_layer_of_another_form_is_left_alone(tiny_base: Path, what: str, value: float) -> None:
    model = _model(tiny_base)
    setattr(model.get_decoder().layers[-1].self_attn, what, value)
    assert not install_answer_layer(model)
    assert not has_answer_layer(model)
