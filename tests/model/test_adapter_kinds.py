"""Every kind of adapter that PEFT makes: scored as plain PEFT scores it, or refused by name; and the same when merged.

The reference loads base and adapter with transformers and PEFT only, and reads full logits at the answer position.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lora_adapters import ALL, lora, make_adapter
from movielora.errors import ModelError
from movielora.model.base import Placement, load_base
from movielora.model.lora import base_of_adapter, load_adapter
from movielora.prompt.token_sets import TokenizedExamples
from movielora.scoring.scorer import Scorer

PLACEMENT = Placement("cpu", "float32", quantized=False, attention="sdpa")
YES, NO, END = 5, 6, 7
ROWS = [[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8], [1, 6, 1, 8, 0, 3]]

EXACT: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "rank_pattern": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 6}},
    "alpha_pattern": {"alpha_pattern": {"down_proj": 32}},
    "layers_to_transform": {"layers_to_transform": [1]},
    "the first layer only": {"layers_to_transform": [0], "layers_pattern": "layers"},
    "exclude_modules": {"exclude_modules": r".*\.0\.mlp\..*"},
    "a pattern of modules": {"target_modules": r".*\.(q|v|down)_proj"},
    "lora_bias": {"lora_bias": True},
    "dora": {"use_dora": True},
    "dora with rslora": {"use_dora": True, "use_rslora": True},
    "fan_in_fan_out": {"fan_in_fan_out": True},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "random": {"init_lora_weights": False},
    "dropout": {"lora_dropout": 0.3},
}
REFUSED: dict[str, tuple[Any, str]] = {
    "lm_head": (LoraConfig(target_modules=["q_proj", "lm_head"]), "weights of lm_head.lora_A.weight"),
    "embed_tokens": (LoraConfig(target_modules=["q_proj", "embed_tokens"]), "weights of model.embed_tokens.lora_emb"),
    "modules_to_save": (LoraConfig(target_modules=ALL, modules_to_save=["lm_head"]), "`modules_to_save: ['lm_head']`"),
    "trainable tokens": (
        LoraConfig(target_modules=ALL, trainable_token_indices=[YES, NO]),
        "`trainable_token_indices: [5, 6]`",
    ),
    "bias": (LoraConfig(target_modules=ALL, bias="all"), "`bias: all`"),
    "bias of LoRA": (LoraConfig(target_modules=ALL, bias="lora_only"), "`bias: lora_only`"),
    "layer_replication": (
        LoraConfig(target_modules=ALL, layer_replication=[[0, 2], [1, 2]]),
        "`layer_replication: [[0, 2], [1, 2]]`",
    ),
    "pissa": (LoraConfig(target_modules=ALL, init_lora_weights="pissa"), "`init_lora_weights: pissa`"),
    "olora": (LoraConfig(target_modules=ALL, init_lora_weights="olora"), "`init_lora_weights: olora`"),
    "parameters": (
        LoraConfig(target_modules=["q_proj"], target_parameters=["mlp.down_proj.weight"]),
        "`target_parameters: ['mlp.down_proj.weight']`",
    ),
    "activated lora": (
        LoraConfig(target_modules=ALL, alora_invocation_tokens=[1, 8]),
        "`alora_invocation_tokens: [1, 8]`",
    ),
    "ia3": (IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]), "`peft_type: IA3`"),
    "loha": (LoHaConfig(target_modules=ALL, r=2), "`peft_type: LOHA`"),
    "adalora": (AdaLoraConfig(target_modules=ALL, init_r=4, total_step=10), "`peft_type: ADALORA`"),
    "prompt tuning": (PromptTuningConfig(num_virtual_tokens=3), "`peft_type: PROMPT_TUNING`"),
    "prefix tuning": (PrefixTuningConfig(num_virtual_tokens=3), "`peft_type: PREFIX_TUNING`"),
}


def tokens() -> TokenizedExamples:
    ids = np.concatenate([np.array(row, dtype=np.uint32) for row in ROWS])
    offsets = np.cumsum([0, *map(len, ROWS)])
    labels = np.array([1, 0, 1], dtype=np.int8)
    return TokenizedExamples(ids, offsets, labels, np.zeros(3, np.uint32), (YES, NO, END))


def plain_log_p(model: Any) -> torch.Tensor:
    """ln p of Yes and No behind each row, by the full logits of the library's own call."""
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([row])).logits[0, -1].double() for row in ROWS]
    return torch.stack(logits).log_softmax(-1)[:, [YES, NO]]


def our_log_p(model: Any, *, adapter: bool = True) -> torch.Tensor:
    scores, _ = Scorer.of_model(model, batch_size=2).score_tokens(tokens(), adapter=adapter)
    return torch.tensor(np.stack([scores.log_p_yes, scores.log_p_no], axis=1))


def plain_base(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


@pytest.mark.parametrize("options", EXACT.values(), ids=EXACT)
def test_scores_are_those_of_plain_peft(tiny_base: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """With the adapter, and with it switched off: the base's own."""
    adapter = make_adapter(tiny_base, tmp_path / "adapter", lora(**options))
    base, peft = (
        plain_log_p(plain_base(tiny_base)),
        plain_log_p(PeftModel.from_pretrained(plain_base(tiny_base), adapter)),
    )
    assert (base - peft).abs().max() > 0.1
    model = load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)
    torch.testing.assert_close(our_log_p(model), peft, rtol=0, atol=2e-4)
    torch.testing.assert_close(our_log_p(model, adapter=False), base, rtol=0, atol=2e-4)


@pytest.mark.parametrize(("config", "named"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_computed_exactly_is_refused_by_name_before_it_is_loaded(
    tiny_base: Path, tmp_path: Path, config: Any, named: str
) -> None:
    adapter = make_adapter(tiny_base, tmp_path / "adapter", config)
    with pytest.raises(ModelError) as refused:
        base_of_adapter(adapter)
    assert named in refused.value.message
    assert str(adapter) in refused.value.message
    assert refused.value.next_step


def test_a_key_that_is_not_known_is_refused_unless_it_is_off(tiny_base: Path, tmp_path: Path) -> None:
    """A later PEFT may give LoRA another word; the installed one would pass over it with a warning."""
    adapter = make_adapter(tiny_base, tmp_path / "adapter", lora())
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"use_tomorrow": False, "tomorrow_config": {}}), encoding="utf-8")
    base_of_adapter(adapter)
    path.write_text(json.dumps(config | {"use_tomorrow": True}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"`use_tomorrow: true`"):
        base_of_adapter(adapter)


def test_every_key_of_the_installed_peft_is_known_or_off_by_default(tiny_base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_base, tmp_path / "adapter", lora())
    assert base_of_adapter(adapter) == str(tiny_base)


def test_weights_that_the_base_has_no_place_for_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    """An adapter of a deeper base: PEFT loads the layers that are there, without a word of the others."""
    adapter = make_adapter(tiny_base, tmp_path / "adapter", lora())
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    deeper = {name.replace("layers.1", "layers.7"): tensor.clone() for name, tensor in tensors.items()}
    save_file(tensors | deeper, path)
    with pytest.raises(ModelError, match=r"there is no place for its .*layers\.7.* and 13 more"):
        load_adapter(load_base(str(tiny_base), PLACEMENT), adapter)


def test_a_base_whose_folder_holds_an_adapter_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    """transformers would put the adapter on the base, and the base's scores would be the adapter's."""
    folder = tmp_path / "both"
    shutil.copytree(tiny_base, folder)
    make_adapter(tiny_base, folder, lora())
    with pytest.raises(ModelError, match=r"holds an adapter \(adapter_config\.json\)"):
        load_base(str(folder), PLACEMENT)
