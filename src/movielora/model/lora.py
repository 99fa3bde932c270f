"""LoRA adapters: putting them on a base, saving them, and loading them on that base again."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

from movielora.config import Config
from movielora.errors import ModelError, first_line, shell_command
from movielora.model.adapter_config import refuse_inexact
from movielora.model.folder import is_base_hash
from movielora.model.hub import hash_if_here
from movielora.runs.folder import replaced
from movielora.runs.folder.written import names
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.storage import fields


def lora_config(config: Config) -> Any:
    """PEFT's config of the adapter (Hu et al. 2021, arXiv:2106.09685)."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        use_rslora=config.use_rslora,
        bias="none",
    )


def check_targets(model: Any, targets: list[str]) -> None:
    """Raise ModelError naming the `lora_target` entries that are no linear layer of the base."""
    from torch import nn

    # 4-bit layers are Linear too; LoRA on a norm or an embedding is not offered.
    ends = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    missing = [target for target in targets if target not in ends]
    if missing:
        raise ModelError(
            f"`lora_target` names {', '.join(missing)}, which is no linear layer of the base",
            "--set lora_target=all takes every linear layer of a Qwen3",
        )


def base_of_adapter(adapter_dir: Path) -> str:
    """The base that an adapter names. Raises ModelError as `read_adapter_config`."""
    return str(read_adapter_config(adapter_dir)["base_model_name_or_path"])


def _where_a_run_is(folder: Path) -> str:
    if replaced.waits(RunPaths(folder)):
        command = shell_command("movielora", "resume", folder)
        return f"the run that was to be replaced waits in {RunPaths(folder).replaced}: {command} brings it back"
    return "name the run folder of a finished training"


def read_adapter_config(adapter_dir: Path) -> dict[str, Any]:
    """The adapter_config.json of an adapter that can be scored here, before anything is loaded.

    Raises ModelError if there is no readable adapter, or one that would not be computed exactly (`adapter_config.py`).
    """
    path = adapter_dir / "adapter_config.json"
    if not adapter_dir.is_dir():
        raise ModelError(f"the adapter folder {adapter_dir} does not exist", "movielora train makes one")
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{adapter_dir} holds no adapter_config.json", _where_a_run_is(adapter_dir)) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    facts = facts if isinstance(facts, dict) else {}
    base = facts.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(f"{path} names no base (`base_model_name_or_path`)")
    if not (adapter_dir / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{adapter_dir} holds no adapter_model.safetensors",
            "only safetensors are read; train again or convert the adapter",
        )
    refuse_inexact(facts, _weight_names(adapter_dir), adapter_dir)
    return facts


def _weight_names(adapter_dir: Path) -> list[str]:
    """Raises ModelError if the file of the weights is damaged."""
    from safetensors import SafetensorError, safe_open

    path = adapter_dir / "adapter_model.safetensors"
    try:
        with safe_open(path, framework="numpy") as weights:
            return list(weights.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the adapter {adapter_dir} cannot be read: {first_line(error)}") from error


def base_identity(adapter_dir: Path) -> str:
    """What tells the base of an adapter from others: its hash, as `base_hash` makes it, or if that cannot be known the
    name or folder that the adapter names. Raises ModelError as `base_of_adapter`."""
    named = base_of_adapter(adapter_dir)
    record = read_record(RunPaths(adapter_dir))
    recorded = fields.mapping(record.raw.get("identity")).get("base model") if record else None
    if record and record.raw.get("base") == named and isinstance(recorded, str) and is_base_hash(recorded):
        return recorded
    return hash_if_here(named)


def are_one_base(one: str, two: str) -> bool | None:
    """Whether two identities (`base_identity`, `hash_if_here`) are of one base; None if that is not known."""
    if one == two:
        return True
    return False if is_base_hash(one) and is_base_hash(two) else None


def load_adapter(model: Any, adapter_dir: Path) -> Any:
    """`model` with the adapter of `adapter_dir` on it, in evaluation mode and in the form in which it was trained.

    Raises ModelError if the adapter's shapes or modules do not fit this base.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    from movielora.model.adapter import prepare_adapter

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = PeftModel.from_pretrained(model, adapter_dir, is_trainable=False, use_safetensors=True)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the adapter {adapter_dir} does not fit the base {model.name_or_path}: {first_line(error)}",
            "compare it with the base it was trained on (adapter_config.json names it)",
        ) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the adapter {adapter_dir} cannot be read: {first_line(error)}") from error
    _refuse_missing_keys(caught, adapter_dir, model)
    _refuse_unused_weights(loaded, adapter_dir)
    return prepare_adapter(loaded).eval()


def _refuse_unused_weights(loaded: Any, adapter_dir: Path) -> None:
    """PEFT passes over weights that it has no place for, without a word."""
    from peft import get_peft_model_state_dict

    used = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    unused = sorted(set(_weight_names(adapter_dir)) - set(used))
    if unused:
        more = f" and {len(unused) - 1:,} more" if len(unused) > 1 else ""
        raise ModelError(
            f"the adapter {adapter_dir} does not fit the base {loaded.get_base_model().name_or_path}: "
            f"there is no place for its {unused[0]}{more}",
            "compare it with the base it was trained on (adapter_config.json names it)",
        )


def _refuse_missing_keys(caught: list[warnings.WarningMessage], adapter_dir: Path, model: Any) -> None:
    """PEFT only warns when weights are missing, and would go on with a half-empty adapter."""
    for warning in caught:
        if "missing adapter keys" in (said := str(warning.message)):
            missing = re.findall(r"'([^']+)'", said)
            raise ModelError(
                f"the adapter {adapter_dir} does not fit the base {model.name_or_path}: "
                f"{len(missing):,} of its weights are missing: {names(missing, 3)}",
                "compare it with the base it was trained on (adapter_config.json names it)",
            )
