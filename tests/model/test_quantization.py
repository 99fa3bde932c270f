"""4-bit on the CPU: the probe, and what loading with it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from movielora.model.base import Placement, load_base
from movielora.model.quantization import FOUR_BIT_BYTES, run_four_bit

FOUR_BIT = Placement("cpu", "bfloat16", quantized=True, attention="sdpa")


def test_a_real_four_bit_layer_agrees_with_its_own_unpacked_weights() -> None:
    found = run_four_bit()
    assert 0 <= found["forward_error"] < 0.02
    assert 0 <= found["backward_error"] < 0.02


def test_the_base_is_nf4_with_double_quantisation_and_bf16_compute(tiny_base: Path) -> None:
    import bitsandbytes as bnb
    import torch

    model = load_base(str(tiny_base), FOUR_BIT)
    layers = [layer for layer in model.modules() if isinstance(layer, bnb.nn.Linear4bit)]
    assert len(layers) == 2 * 7  # every linear layer of two decoder layers, and not the head
    for layer in layers:
        assert layer.compute_dtype == torch.bfloat16
        assert layer.weight.quant_state.quant_type == "nf4"
        assert layer.weight.quant_state.nested  # the scales are quantised too
    assert {p.dtype for p in model.parameters() if p.dtype != torch.uint8} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_packed_weights_are_as_large_as_the_estimate_says() -> None:
    import bitsandbytes as bnb
    import torch

    layer = bnb.nn.Linear4bit(2048, 2048, bias=False, compress_statistics=True, quant_type="nf4").to("cpu")
    state = layer.weight.quant_state
    scales = [state.absmax, state.state2.absmax]
    stored = sum(part.numel() * part.element_size() for part in (layer.weight.data, *scales))
    assert stored == pytest.approx(FOUR_BIT_BYTES * 2048 * 2048, rel=0.001)
    assert layer.weight.dtype == torch.uint8


def test_an_evaluation_leaves_gradients_and_answers_as_they_were(tiny_base: Path) -> None:
    """On processors with AVX-512 bf16, bitsandbytes would pack the weights anew and cut the gradients off."""
    import torch

    model = load_base(str(tiny_base), FOUR_BIT)
    ids = torch.arange(3, 40).unsqueeze(0)

    def gradient() -> torch.Tensor:
        model.train()
        states = model.get_input_embeddings()(ids).detach().requires_grad_()
        logits = model(inputs_embeds=states, use_cache=False).logits
        (given,) = torch.autograd.grad(logits.float().square().mean(), states)
        return given

    before = gradient()
    model.eval()
    with torch.inference_mode():
        first = model(input_ids=ids, use_cache=False).logits
        second = model(input_ids=ids, use_cache=False).logits
    assert torch.equal(first, second)
    assert torch.equal(gradient(), before)
