"""Every key says what a change of it means for a run that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

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


def test_what_was_said_of_each_key_before_is_said_still() -> None:
    """The keys that warned when resume.py listed them by hand."""
    assert set(consequences(Config)) == {
        "max_samples", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
        "lr_scheduler_type", "warmup_ratio", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
        "max_grad_norm", "seed", "lora_dropout", "use_qlora", "bf16", "fp16", "torch_compile", "num_train_epochs",
        "max_steps", "max_eval_samples", "metric_for_best_model",
    }  # fmt: skip
