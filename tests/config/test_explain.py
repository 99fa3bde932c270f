"""Every key can be explained, and is found by the names it has in other programs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from movielora.config import Config, resolve_config
from movielora.config.contradictions import ContradictionError, contradictions
from movielora.config.explain import EXCLUDES, explain_key
from movielora.config.keys import InferenceConfig
from movielora.config.named_values import NO_EFFECT
from movielora.config.resolve import known_keys
from movielora.config.synonyms import ELSEWHERE, key_named, names_elsewhere, nearest_key
from movielora.config.yaml_file import flatten, parse_yaml
from movielora.errors import ConfigError

# What users of other programs type → the key here; written by hand from those programs' documentation.
OF_OTHERS = {
    # habit
    "lr": "learning_rate",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "model": "model_name_or_path",
    "r": "lora_rank",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "patience": "early_stopping_patience",
    # transformers.TrainingArguments
    "evaluation_strategy": "eval_strategy",
    "warmup_steps": "warmup_ratio",
    "use_liger_kernel": "enable_liger_kernel",
    "attn_implementation": "flash_attn",
    # TRL's SFTConfig
    "max_length": "cutoff_len",
    "max_seq_length": "cutoff_len",
    # PEFT's LoraConfig
    "target_modules": "lora_target",
    # LLaMA-Factory
    "quantization_bit": "use_qlora",
    "default_system": "system_prompt",
    "adapter_name_or_path": "inference.adapter_dir",
    # axolotl
    "base_model": "model_name_or_path",
    "sequence_len": "cutoff_len",
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "lora_r": "lora_rank",
    "lora_target_modules": "lora_target",
    "load_in_4bit": "use_qlora",
    "val_file": "eval_file",
    # of another program's block, and spelling
    "peft.r": "lora_rank",
    "--Learning-Rate": "learning_rate",
    "test_file": "inference.test_file",
}


@pytest.mark.parametrize(("name", "key"), OF_OTHERS.items())
def test_a_name_of_another_program_means_the_key(name: str, key: str) -> None:
    assert key_named(name, known_keys()) == key
    assert explain_key(name).key == key
    if not name.startswith("--"):
        with pytest.raises(ConfigError) as caught:
            resolve_config(None, [f"{name}=1"])
        assert caught.value.problems == (f"--set {name}: unknown key `{name}`; did you mean `{key}`?",)
        assert caught.value.next_step == f"movielora config --explain {key}"


@pytest.mark.parametrize("nothing", ["", " ", "--", "-"])
def test_no_name_means_no_key(nothing: str) -> None:
    assert key_named(nothing, known_keys()) is None
    assert nearest_key(nothing, known_keys()) is None
    with pytest.raises(ConfigError, match=r"^--explain was given no key$"):
        explain_key(nothing)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("learnig_rate", "learning_rate"), ("sead", "seed"), ("dataset_directory", "dataset_dir"),
        ("lora_drop_out", "lora_dropout"), ("batchsize", "per_device_train_batch_size"),
        ("epcohs", "num_train_epochs"), ("quantisation", "use_qlora"), ("patince", "early_stopping_patience"),
        ("beta_1", "adam_beta1"), ("metirc", "metric_for_best_model"),
        # of another meaning, although letters agree
        ("model_revision", None), ("revision", None), ("hub_token", None), ("tokenizer_name", None),
        ("rope_scaling", None), ("temperature", None), ("deepspeed", None), ("group_by_length", None),
        ("device", None), ("save_only_model", None), ("use_cache", None),
    ],
)  # fmt: skip
def test_a_misspelling_is_near_and_another_word_is_not(written: str, meant: str | None) -> None:
    assert nearest_key(written, known_keys()) == meant


def test_no_name_means_two_keys_and_none_hides_a_key() -> None:
    names = [name for key in known_keys() for name in names_elsewhere(key)]
    assert len(names) == len(set(names))
    assert set(names) & {*known_keys(), *ELSEWHERE} == set()
    assert sum(len(names_elsewhere(key)) for key in known_keys()) > 200  # no list belongs to a key that is gone


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_a_setting_that_is_no_key_says_what_does_its_work(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config(None, [f"{name}=1"])
    assert caught.value.problems == (f"--set {name}: unknown key `{name}`: {ELSEWHERE[name]}",)
    with pytest.raises(ConfigError, match="is no key"):
        explain_key(name)


@pytest.mark.parametrize("key", known_keys())
def test_every_key_has_meaning_type_default_unit_and_an_example_that_is_valid(key: str) -> None:
    found = explain_key(key)
    assert (found.key, found.asked) == (key, key)
    assert found.meaning.endswith(".")
    assert found.takes
    if "number" in found.takes and key not in NO_EFFECT:
        assert found.unit
    defaults = {**Config().model_dump(), **{f"inference.{k}": v for k, v in InferenceConfig().model_dump().items()}}
    assert found.default == defaults[key]
    if key in NO_EFFECT:
        assert found.meaning == f"No effect: {NO_EFFECT[key]}."
        return
    assert found.example or key in ("flash_attn",)
    ((written, value),) = dict(flatten(parse_yaml(found.example))).items()
    assert written == key
    assert found.option.startswith("--set ")
    Config.model_validate({"inference": {key.partition(".")[2]: value}} if "." in key else {key: value})


@pytest.mark.parametrize(
    "written",
    [
        {"effective_batch_size": 7, "gradient_accumulation_steps": 8},
        {"enable_liger_kernel": True, "torch_compile": True},
        {"fp16": True, "bf16": True},
        {"metric_for_best_model": "bleu"},
        {"eval_strategy": "no", "load_best_model_at_end": True},
        {"eval_strategy": "no", "early_stopping_patience": 3},
        {"lora_target": "lm_head"},
        {"lora_target": ","},
        {"max_steps": 0},
    ],
    ids=str,
)
def test_what_excludes_another_key_says_so(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Config.model_validate(written)
    (found,) = caught.value.errors()  # type: ignore[attr-defined]
    error = found["ctx"]["error"]
    assert isinstance(error, ContradictionError)
    for key, _ in error.found:
        assert EXCLUDES[key]
    for key in set(written) - {"gradient_accumulation_steps"}:
        assert EXCLUDES[key]


def test_a_sound_config_contradicts_nothing() -> None:
    assert contradictions(Config()) == []


def test_what_is_no_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown key `lerning_rate`; did you mean `learning_rate`"):
        explain_key("lerning_rate")
    with pytest.raises(ConfigError, match=r"unknown key `xyzzy`$"):
        explain_key("xyzzy")
    with pytest.raises(ConfigError, match="block of keys"):
        explain_key("inference")


def test_through_the_program() -> None:
    command = [sys.executable, "-m", "movielora", "config", "--explain", "lr"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("learning_rate  (asked for as lr)\nPeak learning rate of AdamW.\n")
    lines = {line.split("  ")[0]: " ".join(line.split()[1:]) for line in shown.splitlines()[2:]}
    assert lines["takes"] == "a number above 0"
    assert lines["default"] == "0.00015"
    assert lines["or"] == "--set learning_rate=0.0003"
    assert max(map(len, shown.splitlines())) <= 80
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert (found["key"], found["default"], found["unit"]) == ("learning_rate", 0.00015, "no unit")
