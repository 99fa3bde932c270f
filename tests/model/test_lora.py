"""An adapter that is not whole is refused, not taken as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from movielora.errors import ModelError
from movielora.model.base import Placement, load_base
from movielora.model.lora import load_adapter

PLACEMENT = Placement("cpu", "float32", quantized=False, attention=None)


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path) -> Path:
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"])
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_whole_adapter_loads(tiny_base: Path, adapter: Path) -> None:
    model = load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)
    assert not model.training


@pytest.mark.parametrize("kept", ["lora_A", "layers.0", "nothing"])
def test_an_adapter_with_missing_weights_is_refused(tiny_base: Path, adapter: Path, kept: str) -> None:
    """PEFT only warns, and would go on with weights that say nothing."""
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    some = {name: tensor for name, tensor in tensors.items() if kept in name}
    assert len(some) < len(tensors)
    save_file(some, weights)
    with pytest.raises(ModelError, match="does not fit the base") as refused:
        load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)
    said = refused.value.message
    missing = sorted(set(tensors) - set(some))
    assert f": {len(missing)} of its weights are missing: " in said
    shown = said.partition("are missing: ")[2].partition(" and ")[0].split(", ")
    assert len(shown) == 3
    assert {name.replace(".default", "") for name in shown} <= set(missing)
    assert said.endswith(f" and {len(missing) - 3} more")
    assert "adapter_config.json names it" in refused.value.next_step


def test_a_rank_that_does_not_fit_the_weights_is_said_whole(tiny_base: Path, adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "rank_pattern": {"q_proj": 2}}))
    with pytest.raises(ModelError, match="does not fit the base") as refused:
        load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)
    assert "size mismatch for base_model.model.model.layers.0.self_attn.q_proj.lora_A" in refused.value.message
    assert "the shape in current model is torch.Size([2, 64])" in refused.value.message
