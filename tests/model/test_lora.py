"""An adapter that is not whole is refused, not taken as it is."""

from __future__ import annotations

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
    with pytest.raises(ModelError, match=r"does not fit the base .*: weights are missing") as refused:
        load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)
    assert "adapter_config.json names it" in refused.value.next_step
