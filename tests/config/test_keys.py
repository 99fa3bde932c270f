"""Every key users bring in their YAML, with the default promised for it; the table is written by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import movielora
from movielora.config import Config, resolve_config
from movielora.config.keys import InferenceConfig
from movielora.config.named_values import METRIC_DIRECTIONS, NO_EFFECT
from movielora.errors import ConfigError

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
WHATEVER = object()  # the key has no promised default

# key, default, a value that users write
KEYS: list[tuple[str, Any, Any]] = [
    ("stage", "sft", "sft"),
    ("do_train", WHATEVER, True),
    ("do_eval", WHATEVER, True),
    ("finetuning_type", "lora", "lora"),
    ("template", WHATEVER, "qwen"),
    ("model_name_or_path", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B"),
    ("flash_attn", "auto", "flash_attention_2"),
    ("use_qlora", None, True),  # true on CUDA: decided when the machine is known
    ("trust_remote_code", False, False),
    ("enable_special_tokenization", WHATEVER, False),
    ("dataset_dir", "data", "my/data"),
    ("dataset", "movielens_qwen3_train", "other_train"),
    ("eval_dataset", None, "other_eval"),
    ("train_file", None, "a/train.json"),
    ("eval_file", None, "a/eval.json"),
    ("max_samples", None, 500),
    ("max_eval_samples", 1000, 200),
    ("cutoff_len", 1024, 512),
    ("packing", WHATEVER, False),
    ("preprocessing_cache_dir", ".cache/preprocessed", "/tmp/cache"),
    ("num_proc", WHATEVER, 8),
    ("per_device_train_batch_size", 2, 4),
    ("per_device_eval_batch_size", 16, 32),
    ("gradient_accumulation_steps", 8, 4),
    ("learning_rate", 1.5e-4, 3e-4),
    ("num_train_epochs", 3, 1.5),
    ("max_steps", -1, 100),
    ("lr_scheduler_type", "cosine", "linear"),
    ("warmup_ratio", 0.03, 0.1),
    ("weight_decay", 0, 0.01),
    ("adam_beta1", 0.9, 0.8),
    ("adam_beta2", 0.999, 0.95),
    ("adam_epsilon", 1e-8, 1e-6),
    ("max_grad_norm", 1.0, 0.3),
    ("seed", 42, 7),
    ("lora_rank", 16, 8),
    ("lora_alpha", 64, 16),
    ("lora_dropout", 0.05, 0.1),
    ("lora_target", "all", "q_proj,v_proj"),
    ("use_rslora", False, True),
    ("gradient_checkpointing", False, True),
    ("bf16", None, True),  # true where supported: decided when the machine is known
    ("fp16", False, True),
    ("eval_accumulation_steps", WHATEVER, 1),
    ("skip_memory_metrics", WHATEVER, True),
    ("ddp_timeout", WHATEVER, 180000000),
    ("eval_strategy", "steps", "epoch"),
    ("eval_steps", 1000, 500),
    ("prediction_loss_only", WHATEVER, False),
    ("output_dir", "output/qwen3-movielens-qlora", "output/mine"),
    ("save_steps", 500, 250),
    ("save_total_limit", 2, 5),
    ("load_best_model_at_end", True, False),
    ("metric_for_best_model", "auc", "eval_f1"),
    ("early_stopping_patience", 6, 5),
    ("loss_plateau_patience", None, 20),
    ("loss_plateau_min_delta", WHATEVER, 0.001),
    ("logging_steps", 10, 50),
    ("report_to", ["tensorboard"], ["none"]),
]
INFERENCE: list[tuple[str, Any]] = [
    ("test_file", "data/x/test_raw.jsonl"),
    ("infer_output_dir", "output/compare"),
    ("adapter_dir", "output/mine"),
    ("batch_size", 64),
    ("chunk_size", 1000),
    ("max_samples", 2000),
    ("show_examples", 5),
    ("use_peft_directly", True),
]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("key", "default", "given"), KEYS, ids=[key for key, *_ in KEYS])
def test_key_has_its_default_and_takes_a_users_value(tmp_path: Path, key: str, default: Any, given: Any) -> None:
    if default is not WHATEVER:
        assert getattr(Config(), key) == default
    resolved = resolve_config(write(tmp_path, yaml.safe_dump({key: given})))
    assert getattr(resolved.values, key) == given
    assert resolved.origins[key] == "file"


@pytest.mark.parametrize(("key", "given"), INFERENCE, ids=[key for key, _ in INFERENCE])
def test_inference_key_is_taken_from_its_block(tmp_path: Path, key: str, given: Any) -> None:
    resolved = resolve_config(write(tmp_path, yaml.safe_dump({"inference": {key: given}})))
    assert getattr(resolved.values.inference, key) == given
    assert resolved.origins[f"inference.{key}"] == "file"


# These take one value only: there is nothing to read.
_CONSTANTS = {"stage", "finetuning_type", "trust_remote_code"}


@pytest.mark.parametrize("key", sorted(set(Config.model_fields) - set(NO_EFFECT) - _CONSTANTS - {"inference"}))
def test_a_key_that_nothing_reads_must_say_that_it_has_no_effect(key: str) -> None:
    sources = Path(movielora.__file__).parent
    reading = re.compile(rf"\.{key}\b")
    readers = [path for path in sources.rglob("*.py") if reading.search(path.read_text(encoding="utf-8"))]
    assert readers, f"nothing reads `{key}`: give it its effect, or a line in NO_EFFECT"


def test_all_keys_at_once(tmp_path: Path) -> None:
    everything = {key: given for key, _, given in KEYS if key != "fp16"} | {"inference": dict(INFERENCE)}
    values = resolve_config(write(tmp_path, yaml.safe_dump(everything))).values
    assert {key: getattr(values, key) for key in everything if key != "inference"} | {
        "inference": values.inference.model_dump()
    } == everything


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_ready_made_configs_load_without_a_note(path: Path) -> None:
    assert resolve_config(path).no_effect_notes() == []


def test_the_qlora_config_is_the_table() -> None:
    """`configs/qwen3_movielens_qlora.yaml` is the default for a CUDA GPU with the values of the table."""
    shown = resolve_config(next(path for path in CONFIGS if path.name == "qwen3_movielens_qlora.yaml")).values
    for key, default, _ in KEYS:
        if default is not WHATEVER and key not in ("use_qlora", "per_device_train_batch_size"):
            assert getattr(shown, key) == default, key
    assert shown.use_qlora is True
    assert shown.per_device_train_batch_size == "auto"
    assert shown.rows_per_step == Config().rows_per_step == 16


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_best_is_chosen_by_auc(path: Path) -> None:
    """Always Yes has an F1 of .67 where half of the films are liked, and an AUC of .5 everywhere."""
    assert resolve_config(path).values.best_metric == "auc"


def test_the_bf16_config_differs_from_the_qlora_one_in_precision_and_folder_alone() -> None:
    by_name = {path.name: resolve_config(path).values.model_dump() for path in CONFIGS}
    qlora, bf16 = by_name["qwen3_movielens_qlora.yaml"], by_name["qwen3_movielens_lora_bf16.yaml"]
    assert {key for key in qlora if qlora[key] != bf16[key]} == {"use_qlora", "bf16", "output_dir"}
    assert (bf16["use_qlora"], bf16["bf16"]) == (False, True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_json_schema_describes_the_ready_made_configs(path: Path) -> None:
    violations = list(_violations(yaml.safe_load(path.read_text()), Config.model_json_schema()))
    assert violations == []


def test_the_json_schema_refuses_what_the_config_refuses() -> None:
    schema = Config.model_json_schema()
    wrong = {"learning_rate": -1.0, "lora_rank": "x", "nonsense": 1, "inference": {"batch_size": 0}}
    wrong |= {"report_to": ["wandb"], "eval_strategy": "sometimes", "output_dir": ""}
    assert len(list(_violations(wrong, schema))) == len(wrong)


def _violations(value: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The few words of JSON Schema that this one uses, read plainly."""
    definitions = schema.get("$defs", {})

    def fits(value: Any, part: dict[str, Any]) -> bool:
        if "$ref" in part:
            part = definitions[part["$ref"].removeprefix("#/$defs/")]
        if "anyOf" in part:
            return any(fits(value, option) for option in part["anyOf"])
        if "const" in part:
            return bool(value == part["const"])
        if "enum" in part:
            return value in part["enum"]
        kinds: dict[str, Any] = {"integer": int, "number": (int, float), "string": str, "boolean": bool}
        kinds |= {"array": list, "object": dict, "null": type(None)}
        if not isinstance(value, kinds[part["type"]]) or (isinstance(value, bool) and part["type"] != "boolean"):
            return False
        if part["type"] == "object":
            known = part["properties"]
            return all(key in known and fits(item, known[key]) for key, item in value.items())
        if part["type"] == "array":
            return all(fits(item, part["items"]) for item in value)
        if part["type"] == "string":
            return len(value) >= part.get("minLength", 0)
        return value is None or (
            value >= part.get("minimum", value)
            and value <= part.get("maximum", value)
            and value < part.get("exclusiveMaximum", float("inf"))
            and value > part.get("exclusiveMinimum", float("-inf"))
        )

    assert schema["additionalProperties"] is False
    for key, item in value.items():
        if key not in schema["properties"] or not fits(item, schema["properties"][key]):
            yield key


def test_every_key_says_what_it_means() -> None:
    for model in (Config, InferenceConfig):
        for key, field in model.model_fields.items():
            assert field.description, key
            assert field.description.endswith("."), key


@pytest.mark.parametrize(
    ("written", "modules"),
    [
        ("all", ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
        ("qv", ["q_proj", "v_proj"]),
        ("fn", ["gate_proj", "up_proj", "down_proj"]),
        ("q_proj, down_proj", ["q_proj", "down_proj"]),
        ("k_proj", ["k_proj"]),
        ("[v_proj, o_proj]", ["v_proj", "o_proj"]),
    ],
)
def test_lora_target(written: str, modules: list[str]) -> None:
    assert resolve_config(None, [f"lora_target={written}"]).values.target_modules == modules


@pytest.mark.parametrize("written", ["auto", "flash_attention_2", "sdpa", "eager", "false"])
def test_flash_attn_takes_the_five_words(written: str) -> None:
    value = resolve_config(None, [f"flash_attn={written}"]).values.flash_attn
    assert value == (False if written == "false" else written)


@pytest.mark.parametrize("written", ["no", "'no'", "false", "off"])
def test_a_bare_no_is_the_word_and_not_false(written: str) -> None:
    assert resolve_config(None, [f"eval_strategy={written}"]).values.eval_strategy == "no"


@pytest.mark.parametrize("written", ["tensorboard", "none", "[tensorboard]", "[]"])
def test_report_to_takes_one_name_or_a_list(written: str) -> None:
    assert resolve_config(None, [f"report_to={written}"]).values.report_to == [
        name for name in [written.strip("[]")] if name
    ]


def test_effective_batch_size() -> None:
    config = Config(per_device_train_batch_size=4, gradient_accumulation_steps=8)
    assert config.rows_per_step == 32


@pytest.mark.parametrize("metric", sorted(METRIC_DIRECTIONS))
def test_a_metric_may_carry_the_eval_prefix(metric: str) -> None:
    assert Config(metric_for_best_model=f"eval_{metric}").best_metric == metric
    assert Config(metric_for_best_model=metric).best_metric == metric


def test_without_evaluation_nothing_can_be_best() -> None:
    config = Config(eval_strategy="no")
    assert (config.load_best_model_at_end, config.early_stopping_patience) == (False, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stage", "dpo"),
        ("finetuning_type", "full"),
        ("trust_remote_code", True),
        ("use_qlora", 1),
        ("model_name_or_path", ""),
        ("output_dir", ""),
        ("cutoff_len", 15),
        ("max_samples", 0),
        ("per_device_train_batch_size", 0),
        ("gradient_accumulation_steps", 1.5),
        ("learning_rate", 0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("num_train_epochs", float("inf")),
        ("num_train_epochs", 0),
        ("max_steps", -2),
        ("max_steps", 1000.0),
        ("lr_scheduler_type", "cosin"),
        ("warmup_ratio", 1.0),  # transformers reads 1.0 as one step
        ("adam_beta1", 1),
        ("seed", -1),
        ("seed", 2**32),  # numpy's largest seed is 2**32 - 1
        ("lora_rank", True),
        ("lora_rank", "16"),
        ("lora_dropout", 1),
        ("lora_target", 5),
        ("lora_target", ["q_proj", 5]),
        ("report_to", ["wandb"]),
        ("eval_strategy", True),
    ],
)
def test_values_out_of_range_or_of_another_type_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config(write(tmp_path, yaml.safe_dump({"lora_alpha": 8, key: value}, sort_keys=False)))
    assert len(caught.value.problems) == 1
    assert f"config.yaml line 2: `{key}: " in caught.value.problems[0]


def test_keys_without_effect_are_keys() -> None:
    for key in NO_EFFECT:
        group, _, name = key.rpartition(".")
        fields = InferenceConfig.model_fields if group else Config.model_fields
        assert fields[name].description == "No effect."
    silent = {key for key, field in Config.model_fields.items() if field.description == "No effect."}
    assert silent <= set(NO_EFFECT)


def test_an_effective_batch_sets_the_accumulation() -> None:
    config = Config(per_device_train_batch_size=4, effective_batch_size=16)
    assert (config.gradient_accumulation_steps, config.rows_per_step) == (4, 16)
    assert Config(effective_batch_size=6).gradient_accumulation_steps == 3


def test_an_effective_batch_that_the_rows_do_not_make_is_a_contradiction() -> None:
    for values in (
        {"per_device_train_batch_size": 3, "effective_batch_size": 16},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 8, "effective_batch_size": 16},
    ):
        with pytest.raises(ValueError, match="leave one of them out"):
            Config(**values)


def test_automatic_rows_keep_the_effective_batch() -> None:
    config = Config(per_device_train_batch_size="auto", effective_batch_size=24)
    assert config.rows_per_step == 24
    with pytest.raises(ValueError, match="not been settled"):
        config.micro_batch  # noqa: B018 (the property raises)
    settled = config.with_micro_batch(8)
    assert (settled.micro_batch, settled.gradient_accumulation_steps, settled.rows_per_step) == (8, 3, 24)
    with pytest.raises(ValueError, match="do not divide"):
        config.with_micro_batch(7)
    assert Config(per_device_train_batch_size="auto").rows_per_step == 16
    assert Config(per_device_train_batch_size="auto", gradient_accumulation_steps=4).rows_per_step == 8
    both = Config(per_device_train_batch_size="auto", gradient_accumulation_steps=4, effective_batch_size=24)
    assert both.rows_per_step == 24
