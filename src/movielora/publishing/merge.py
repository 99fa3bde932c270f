"""`movielora merge`: the adapter folded into 16-bit weights, and proof that the answers stay.

W + scale · B A (Hu et al. 2021, arXiv:2106.09685) is summed in fp32 and rounded once to bf16.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from movielora.config import Config, ResolvedConfig, resolve_config
from movielora.dataset.find import find_test_file
from movielora.errors import DataError, OutputError
from movielora.examples.example import Record
from movielora.examples.importers.records import read_records
from movielora.model.base import Placement, choose_placement, find_base, load_base
from movielora.model.lora import base_of_adapter, load_adapter
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import Reporter
from movielora.prompt.template import PromptTemplate
from movielora.scoring.kernels import warn_of_other_kernels
from movielora.scoring.predict import Pair
from movielora.scoring.score_change import ScoreChange, log_odds, rows_for_change, score_change

MERGED_DTYPE = "bfloat16"
# Rounding to bf16 moves log-odds by hundredths.
_SUSPICIOUS = 0.5


@dataclass(frozen=True)
class MergeRequest:
    """`run`: a run folder, or an adapter folder beside a `config.yaml`; `rows`: how many are scored again."""

    run: Path
    output_dir: Path
    test_file: Path | None = None
    rows: int = 200


@dataclass(frozen=True)
class Merged:
    """`change` is None where there were no rows to score."""

    output_dir: Path
    base: str
    bytes: int
    change: ScoreChange | None

    def to_json(self) -> dict[str, Any]:
        return {
            "output_dir": str(self.output_dir),
            "base": self.base,
            "dtype": MERGED_DTYPE,
            "bytes": self.bytes,
            "change": self.change.to_json() if self.change else None,
        }


def merge(request: MergeRequest, reporter: Reporter) -> Merged:
    """Score, merge, save, load what was saved, score again.

    Raises ModelError for an adapter that cannot be merged, OutputError where `output_dir` is not free.
    """
    base_of_adapter(request.run)
    _refuse_occupied(request.output_dir)
    resolved = _config_of(request.run)
    base = find_base(
        resolved.values.model_name_or_path,
        Path(resolved.values.preprocessing_cache_dir).parent,
        resolved.locate(resolved.values.model_name_or_path),
    )
    records = _rows(request, resolved, reporter)
    tokenizer = load_tokenizer(base)
    placement = choose_placement(_with_kernels_of_this_machine(resolved.values), quantized=False, base=base)
    pair = Pair(
        None, tokenizer, PromptTemplate(tokenizer), resolved.values.cutoff_len,
        resolved.values.per_device_eval_batch_size,
    )  # fmt: skip

    before = None
    if records:
        warn_of_other_kernels(request.run, placement, reporter)
        model = load_adapter(load_base(base, placement), request.run)
        before = log_odds(replace(pair, model=model), records, reporter, "Scoring before")
        del model
        gc.collect()
    with reporter.phase("Merging"):
        _merge_and_save(base, request, tokenizer)
    change = None
    if before is not None:
        merged = load_base(str(request.output_dir), placement)
        change = score_change(before, log_odds(replace(pair, model=merged), records, reporter, "Scoring after"))
        if change.mean_absolute > _SUSPICIOUS:
            reporter.warn(f"the merged model answers otherwise: {change.sentence()}; keep base and adapter apart")
    size = sum(file.stat().st_size for file in request.output_dir.glob("*.safetensors"))
    return Merged(request.output_dir, base, size, change)


def _merge_and_save(base: str, request: MergeRequest, tokenizer: Any) -> None:
    import torch

    # On the CPU, in fp32: memory is larger there, and the sum is rounded once.
    model = load_adapter(load_base(base, Placement("cpu", "float32", quantized=False, attention="sdpa")), request.run)
    for layer in model.modules():
        if hasattr(layer, "lora_variant"):
            layer.lora_variant.clear()  # PEFT leaves a layer of another form (`adapter.py`) unmerged, without a word
    merged = model.merge_and_unload().to(torch.bfloat16)
    try:
        merged.save_pretrained(request.output_dir)
        tokenizer.save_pretrained(request.output_dir)
    except OSError as error:
        raise OutputError(
            f"{request.output_dir} cannot be written: {error.strerror}", "free space, or choose another --output-dir"
        ) from None


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is there already and not empty", "choose a new --output-dir")


def _config_of(run: Path) -> ResolvedConfig:
    """The run's own config; for a bare adapter the defaults on the base it names."""
    config = run / "config.yaml"
    if config.is_file():
        return resolve_config(config)
    return resolve_config(None, [f"model_name_or_path={base_of_adapter(run)}"])


def _with_kernels_of_this_machine(config: Config) -> Config:
    """A run that asked for a GPU's kernels can be merged where there is no GPU: before and after are scored alike."""
    flash = "auto" if config.flash_attn == "flash_attention_2" else config.flash_attn
    liger = "auto" if config.enable_liger_kernel is True else config.enable_liger_kernel
    return config.model_copy(update={"flash_attn": flash, "enable_liger_kernel": liger})


def _rows(request: MergeRequest, resolved: ResolvedConfig, reporter: Reporter) -> list[Record]:
    """The rows to score twice. Data that has gone is no reason not to merge, and is said."""
    try:
        records = list(read_records(request.test_file or find_test_file(resolved)))
    except DataError as error:
        if request.test_file:
            raise
        reporter.warn(f"the answers are not compared: {error.message}; name rows with --test-file FILE")
        return []
    return [records[place] for place in rows_for_change(records, request.rows)]
