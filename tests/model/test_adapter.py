"""The fused LoRA layer against PEFT's own, and the dtypes of adapters and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from movielora.model.adapter import prepare_adapter
from movielora.model.cpu.dropout import dropped_places
from movielora.model.cpu.lora import FusedLora

IDS = torch.arange(40).view(2, 20) % 1000


def _model(base: Path, dtype: torch.dtype = torch.float32, dropout: float = 0.0) -> Any:
    torch.manual_seed(1)
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear")
    model = get_peft_model(loaded, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # PEFT starts it at zero, where mistakes would not show
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def _loss_and_gradients(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_losses_and_gradients_are_pefts(tiny_base: Path) -> None:
    expected_loss, expected = _loss_and_gradients(_model(tiny_base).train())
    loss, gradients = _loss_and_gradients(prepare_adapter(_model(tiny_base)).train())
    torch.testing.assert_close(loss, expected_loss)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_dropout_is_the_plain_formula(tiny_base: Path) -> None:
    """One layer: output and all four gradients against the formula written with the same mask."""
    layer = prepare_adapter(_model(tiny_base, dropout=0.25)).train().base_model.model.model.layers[0].mlp.down_proj
    x = torch.randn(2, 5, 192, requires_grad=True)
    torch.manual_seed(9)
    layer(x).square().sum().backward()
    found = [x.grad, layer.lora_A["default"].weight.grad, layer.lora_B["default"].weight.grad]

    torch.manual_seed(9)
    keep = torch.ones(x.numel())
    keep[dropped_places(x.numel(), 0.25)] = 0
    assert 0 < keep.sum() < x.numel()
    plain = x.detach().clone().requires_grad_()
    a, b = (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    dropped = plain * keep.view(x.shape) / 0.75
    output = layer.base_layer(plain) + dropped @ a.t() @ b.t() * 2.0
    expected = torch.autograd.grad(output.square().sum(), [plain, a, b])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_dropout_in_evaluation(tiny_base: Path) -> None:
    model = prepare_adapter(_model(tiny_base, dropout=0.5)).eval()
    plain = _model(tiny_base, dropout=0.5).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(IDS).logits, plain(IDS).logits)


def test_switched_off_it_is_the_base(tiny_base: Path) -> None:
    model = prepare_adapter(_model(tiny_base)).eval()
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    with torch.inference_mode(), model.disable_adapter():
        assert torch.equal(model(IDS).logits, base(IDS).logits)


def test_bf16_adapters_sum_their_gradients_in_fp32(tiny_base: Path) -> None:
    model = prepare_adapter(_model(tiny_base, torch.bfloat16)).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.bfloat16}
    _loss_and_gradients(model)
    assert {p.grad.dtype for p in trained} == {torch.float32}


def test_fp16_training_keeps_fp32_adapters(tiny_base: Path) -> None:
    model = prepare_adapter(_model(tiny_base, torch.bfloat16), mixed_fp16=True)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_a_compiled_model_keeps_pefts_form(tiny_base: Path) -> None:
    model = prepare_adapter(_model(tiny_base), compiled=True)
    assert not any(getattr(layer, "lora_variant", None) for layer in model.modules())


def test_checkpointed_layers_repeat_their_dropout(tiny_base: Path) -> None:
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        model = prepare_adapter(_model(tiny_base, dropout=0.3)).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(3)
        return _loss_and_gradients(model)[1]

    plain, repeated = gradients(False), gradients(True)
    for name, gradient in repeated.items():
        torch.testing.assert_close(gradient, plain[name], msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_adapter_loads_with_plain_peft(tiny_base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    from peft import PeftModel

    model = prepare_adapter(_model(tiny_base, dtype)).eval()
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=dtype), tmp_path).eval()
    assert not any(isinstance(v, FusedLora) for m in loaded.modules() for v in getattr(m, "lora_variant", {}).values())
    with torch.inference_mode():
        tolerance = 1e-5 if dtype == torch.float32 else 0.15  # bf16 logits of ±10 are 0.06 apart
        torch.testing.assert_close(model(IDS).logits, loaded(IDS).logits, rtol=0.02, atol=tolerance)
