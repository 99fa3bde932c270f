"""Every key says what a change of it means for a run that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from movielora.config import Config
from movielora.config.on_resume import ChangesLosses, Free, LoraShape, Part, consequences, rules
from movielora.dataset.find import TrainingSplits
from movielora.training.identity import run_identity


@pytest.mark.parametrize("key", Config.model_fields)
def test_every_key_is_classified(key: str) -> None:
    assert rules(Config)[key] is not None, (
        f"`{key}` does not say what a change of it means for a resumed run: put Free[…], ChangesLosses[…] or a part of "
        "the identity around its type (config/on_resume.py)"
    )


def test_a_key_that_is_not_classified_is_found() -> None:
    class Keys(BaseModel):
        known: Free[int] = 1
        forgotten: int = 2
        loud: ChangesLosses[float | None] = None
        shape: LoraShape[str] = ""

    found = rules(Keys)
    assert [key for key, rule in found.items() if rule is None] == ["forgotten"]
    assert consequences(Keys) == {"loud": "the losses will not be an uninterrupted run's"}
    assert found["shape"] is not None
    assert (found["shape"].rule, found["shape"].part) == ("fixed", "LoRA shape")


def test_the_fixed_keys_are_those_of_the_run_s_identity(tmp_path: Path) -> None:
    """Each part that is compared belongs to a key, and each fixed key to a part that is compared."""
    rows = tmp_path / "train.json"
    rows.write_text('[{"instruction": "i", "input": "x", "output": "Yes"}]')
    compared = run_identity(Config(), TrainingSplits(rows, None), "Qwen/Qwen3-0.6B")
    named = {rule.part for rule in rules(Config).values() if rule and rule.rule == "fixed"}
    assert named == set(compared) == set(get_args(Part))


# A value of each fixed key that is not its default, and what the other keys must be for it to count.
OTHER: dict[str, tuple[Any, dict[str, Any]]] = {
    "dataset_dir": ("elsewhere", {}),
    "dataset": ("other_train", {}),
    "eval_dataset": ("other_eval", {}),
    "train_file": ("other.json", {}),
    "eval_file": ("other.json", {}),
    "cutoff_len": (512, {}),
    "prompt_history_len": (3, {}),
    "prompt_titles": ("natural", {}),
    "system_prompt": ("Say Yes.", {}),
    "instruction": ("Guess.", {}),
    "model_name_or_path": ("Qwen/Qwen3-1.7B", {}),
    "lora_rank": (8, {}),
    "lora_alpha": (8, {}),
    "lora_target": ("qv", {}),
    "use_rslora": (True, {}),
}
_FILES = {"dataset_dir", "dataset", "eval_dataset", "train_file", "eval_file"}


def _fixed() -> list[str]:
    return [key for key, rule in rules(Config).items() if rule and rule.rule == "fixed"]


@pytest.mark.parametrize("key", _fixed())
def test_another_value_of_a_fixed_key_is_another_identity(tmp_path: Path, key: str) -> None:
    """A key that is declared fixed and that `training/identity.py` forgets would be compared nowhere."""
    assert key in OTHER, f"give `{key}` a value here, and its part to training/identity.py"
    value, others = OTHER[key]
    rule = rules(Config)[key]
    assert rule is not None
    before, after = Config(**others), Config(**others, **{key: value})
    identities = []
    for number, config in enumerate((before, after)):
        rows = tmp_path / f"{number if key in _FILES else 0}.json"  # such a key names other data
        rows.write_text(f'[{{"instruction": "i", "input": "{rows.stem}", "output": "Yes"}}]')
        identities.append(run_identity(config, TrainingSplits(rows, rows), config.model_name_or_path))
    assert identities[0][str(rule.part)] != identities[1][str(rule.part)]


def test_what_was_said_of_each_key_before_is_said_still() -> None:
    """The keys that warned when resume.py listed them by hand."""
    assert set(consequences(Config)) == {
        "max_samples", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
        "lr_scheduler_type", "warmup_ratio", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
        "max_grad_norm", "seed", "lora_dropout", "use_qlora", "bf16", "fp16", "torch_compile", "num_train_epochs",
        "max_steps", "max_eval_samples", "metric_for_best_model",
    }  # fmt: skip
