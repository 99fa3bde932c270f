"""What a comparison asks with: the base, where and how it computes, the prompt; and all that its scores depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.evaluation.baselines.fitted import DatasetFiles
from movielora.evaluation.comparison.inputs import CompareRequest
from movielora.model.base import Placement, choose_placement, find_base, load_base
from movielora.model.folder import base_hash
from movielora.model.lora import base_of_adapter, load_adapter
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import Reporter
from movielora.prompt.template import PromptTemplate
from movielora.prompt.token_cache import prompt_key
from movielora.runs.paths import RunPaths
from movielora.scoring.predict import Pair
from movielora.storage.hashing import file_sha256


@dataclass(frozen=True)
class Setting:
    """`source` is the base's folder or Hugging Face name."""

    source: str
    placement: Placement
    tokenizer: Any
    template: PromptTemplate
    cutoff_len: int
    batch_size: int


def open_setting(request: CompareRequest) -> Setting:
    """Everything but the weights. Raises ModelError where base, tokenizer or device are not what is asked for."""
    config = request.config.values
    source = find_base(
        config.model_name_or_path,
        Path(config.preprocessing_cache_dir).parent,
        request.config.locate(config.model_name_or_path),
    )
    tokenizer = load_tokenizer(source)
    quantized = None if request.base_precision is None else request.base_precision == "4bit"
    return Setting(
        source,
        choose_placement(config, quantized=quantized, base=source),
        tokenizer,
        PromptTemplate(tokenizer, request.system_prompt),
        config.cutoff_len,
        request.batch_size or config.inference.batch_size or config.per_device_eval_batch_size,
    )


def load_pair(setting: Setting, adapter: Path, reporter: Reporter) -> Pair:
    """The base with the adapter on it. Raises ModelError where they cannot be loaded or do not fit."""
    named_base = base_of_adapter(adapter)
    with reporter.phase("Loading model"):
        if setting.source != named_base:
            reporter.warn(
                f"the adapter was trained on {named_base}; it is compared on {setting.source}, as the config says"
            )
        model = load_adapter(load_base(setting.source, setting.placement), adapter)
    return Pair(model, setting.tokenizer, setting.template, setting.cutoff_len, setting.batch_size)


def score_inputs(
    request: CompareRequest,
    setting: Setting,
    adapters: Sequence[Path],
    columns: Sequence[Sequence[str]],
    files: DatasetFiles,
    *,
    rows: int,
    eval_rows: int,
) -> dict[str, Any]:
    """Everything the scores depend on, by name: a folder goes on only with the same. `columns` are each adapter's."""
    placement = setting.placement.to_json()
    for words in ("attention_reason", "liger_reason"):  # about the choice; the scores depend on the choice
        placement.pop(words)
    if not setting.placement.liger:  # comparisons that began before the key was recorded go on
        placement.pop("liger")
    paths = [RunPaths(adapter) for adapter in adapters]
    return {
        "test_file": file_sha256(files.test),
        "eval_file": file_sha256(files.eval) if files.eval and eval_rows else None,
        "adapter_weights": [file_sha256(each.adapter_weights) for each in paths],
        "adapter_config": [file_sha256(each.adapter_config) for each in paths],
        "columns": [list(each) for each in columns],
        "base": base_hash(setting.source),
        "prompt": prompt_key(setting.template, setting.tokenizer, setting.cutoff_len),
        "placement": placement,
        "rows": rows,
        "eval_rows": eval_rows,
        "mode": request.mode,
        "system_prompt": request.system_prompt,
        "cutoff_len": setting.cutoff_len,
        "batch_size": setting.batch_size,
        "chunk_size": request.config.values.inference.chunk_size,
        "base_precision": request.base_precision,
    }
