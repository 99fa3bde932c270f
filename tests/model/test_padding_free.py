"""Rows laid end to end give what padded rows give: logits, losses, gradients; no row sees its neighbour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from movielora.model.adapter import prepare_adapter
from movielora.model.answer_layer import install_answer_layer
from movielora.model.kernels.padding_free import lay_end_to_end
from movielora.scoring import answer_position as scoring
from movielora.scoring.answer_position import answer_logits, answer_loss

IDS = torch.tensor([[5, 9, 31, 7, 12, 40, 3], [8, 8, 2, 61, 4, 0, 0], [17, 23, 0, 0, 0, 0, 0]])
PROMPTS = torch.tensor([6, 4, 1])  # one answer token more stands in each row
ANSWERS = torch.tensor([[3, 1], [4, 1], [23, 1]])


def _model(base: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    assert install_answer_layer(model)
    return model


def _by_bounds(
    module: Any, query: Any, key: Any, value: Any, mask: Any, *, scaling: float, cu_seq_lens_q: Any, **more: Any
) -> tuple[Any, None]:
    """What flash attention computes from the rows' bounds: (1, heads, tokens, head dim) → (1, tokens, heads, …)."""
    assert mask is None
    assert len(query) == 1
    lengths = cu_seq_lens_q.diff().tolist()
    assert max(lengths) <= more["max_length_q"] == more["max_length_k"]
    assert cu_seq_lens_q.equal(more["cu_seq_lens_k"])
    rows = zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True)
    attended = [
        functional.scaled_dot_product_attention(*row, is_causal=True, scale=scaling, enable_gqa=True) for row in rows
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


@pytest.fixture(params=["positions alone, sdpa", "bounds, as flash attention takes them"])
def end_to_end(request: pytest.FixtureRequest, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that takes rows end to end: transformers' own mask from the positions, or a stand-in for the kernel."""
    model = _model(tiny_base)
    if "sdpa" in request.param:
        monkeypatch.setattr(scoring, "_takes_rows_end_to_end", lambda causal_lm: True)
    else:
        monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "flash_attention_2", _by_bounds)
        model.config._attn_implementation = "flash_attention_2"
    return model


def test_padding_is_left_out_and_positions_start_anew() -> None:
    laid, starts = lay_end_to_end(IDS, PROMPTS + 1)
    assert laid["input_ids"].tolist() == [[5, 9, 31, 7, 12, 40, 3, 8, 8, 2, 61, 4, 17, 23]]
    assert laid["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 0, 1]]
    assert laid["cu_seq_lens_q"].tolist() == laid["cu_seq_lens_k"].tolist() == [0, 7, 12, 14]
    assert laid["cu_seq_lens_q"].dtype == torch.int32  # the kernel takes no other
    assert starts.tolist() == [0, 7, 12]


def test_logits_are_those_of_padded_rows(tiny_base: Path, end_to_end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer_logits(end_to_end, IDS, PROMPTS, 2)
    monkeypatch.undo()
    padded = answer_logits(_model(tiny_base), IDS, PROMPTS, 2)
    assert found.shape == padded.shape
    torch.testing.assert_close(found, padded, rtol=1e-5, atol=1e-5)


def test_logits_of_long_rows_are_those_of_padded_rows(
    tiny_base: Path, end_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 tokens in all: the CPU's kernel takes keys in blocks of 512, and a row begins inside one."""
    torch.manual_seed(0)
    ids, prompts = torch.randint(3, 900, (3, 601)), torch.tensor([600, 300, 97])
    found = answer_logits(end_to_end, ids, prompts, 2)
    monkeypatch.undo()
    padded = answer_logits(_model(tiny_base), ids, prompts, 2)
    torch.testing.assert_close(found, padded, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_padded_rows(
    tiny_base: Path, end_to_end: Any, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    found = _loss_and_gradients(end_to_end, checkpointing)
    monkeypatch.undo()
    padded = _loss_and_gradients(_model(tiny_base))
    assert len(padded) == 1 + 2 * 2 * 7  # the loss; two matrices at seven places of two layers
    for name, value in padded.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def _loss_and_gradients(model: Any, checkpointing: bool = False) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, lora_dropout=0.0)
    adapted = prepare_adapter(peft.get_peft_model(model, config)).train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    loss = answer_loss(adapted, IDS, PROMPTS, ANSWERS)
    loss.backward()
    gradients = {name: value.grad for name, value in adapted.named_parameters() if value.requires_grad}
    return {"loss": loss.detach(), **gradients}


def test_a_row_does_not_see_its_neighbour(end_to_end: Any) -> None:
    before = answer_logits(end_to_end, IDS, PROMPTS, 2)
    changed = IDS.clone()
    changed[0, :6] = torch.tensor([70, 71, 72, 73, 74, 75])
    after = answer_logits(end_to_end, changed, PROMPTS, 2)
    assert not torch.equal(after[0], before[0])
    torch.testing.assert_close(after[1:], before[1:], rtol=0, atol=0)


def test_rows_stay_padded_without_flash_attention(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(tiny_base)
    shapes: list[tuple[int, ...]] = []
    model.get_decoder().register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    answer_logits(model, IDS, PROMPTS, 2)
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "flash_attention_2", _by_bounds)
    model.config._attn_implementation = "flash_attention_2"
    answer_logits(model, IDS, PROMPTS, 2)
    assert shapes == [(3, 7), (1, 14)]
