"""The recipe of `movielora compare`: base against adapter on the same rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.data.dataset_files import find_test_file
from movielora.data.prompt import PromptTemplate
from movielora.data.records import Record, read_records
from movielora.data.token_cache import file_sha256
from movielora.data.tokens import load_tokenizer
from movielora.errors import DataError, OutputError
from movielora.evaluation.folder import ComparisonFolder, write_json
from movielora.evaluation.metrics import answer_metrics
from movielora.evaluation.predict import Mode, Pair, predict
from movielora.evaluation.predictions import read_predictions
from movielora.evaluation.summary import count_buckets
from movielora.model.base import choose_placement, find_base, load_base
from movielora.model.lora import base_of_adapter, load_adapter
from movielora.progress import Reporter


@dataclass(frozen=True)
class CompareRequest:
    """What the user asked for; None takes the config's."""

    resolved: ResolvedConfig
    adapter: Path | None = None
    test_file: Path | None = None
    output_dir: Path | None = None
    max_samples: int | None = None
    batch_size: int | None = None
    system_prompt: str | None = None
    mode: Mode = "score"
    overwrite: bool = False


def compare(request: CompareRequest, reporter: Reporter) -> dict[str, Any]:
    """Score the rows, write predictions.jsonl and comparison.json, return what `--json` prints."""
    config = request.resolved.values
    adapter = request.adapter or request.resolved.locate(config.inference.adapter_dir or config.output_dir)
    named_base = base_of_adapter(adapter)
    test_file = request.test_file or find_test_file(request.resolved)
    records = _read_rows(test_file, request.max_samples or config.inference.max_samples)
    folder = ComparisonFolder(
        request.output_dir or Path(config.inference.infer_output_dir or Path(config.output_dir) / "comparison")
    )
    inputs = _inputs(request, adapter, test_file, len(records))
    _open_folder(folder, inputs, overwrite=request.overwrite)

    pair = _load_pair(request, adapter, named_base, reporter)
    result = predict(
        pair,
        records,
        folder.predictions,
        mode=request.mode,
        chunk_size=config.inference.chunk_size,
        total=len(records),
        reporter=reporter,
    )
    if result.rows_before:
        reporter.note(f"{result.rows_before:,} rows were scored already")
    if result.rows_cut:
        reporter.warn(f"{result.rows_cut:,} rows lost history to `cutoff_len: {config.cutoff_len}`")
    comparison = _summarise(folder, request.mode)
    write_json(folder.comparison, comparison)
    return comparison


def _summarise(folder: ComparisonFolder, mode: Mode) -> dict[str, Any]:
    predictions = read_predictions(folder.predictions)
    base, adapter = predictions.scores["base"], predictions.scores["adapter"]
    return {
        "samples": len(predictions),
        "base": answer_metrics(predictions.labels, base.log_odds, base.answer_mass),
        "adapter": answer_metrics(predictions.labels, adapter.log_odds, adapter.answer_mass),
        "buckets": count_buckets(predictions.labels, base.log_odds, adapter.log_odds),
        "output_dir": str(folder.root),
    }


def _read_rows(test_file: Path, most: int | None) -> list[Record]:
    records = list(read_records(test_file))
    if not records:
        raise DataError(f"{test_file} holds no rows", "name another: --test-file FILE")
    return records[:most]


def _load_pair(request: CompareRequest, adapter: Path, named_base: str, reporter: Reporter) -> Pair:
    config = request.resolved.values
    with reporter.phase("Loading model"):
        source = find_base(
            config.model_name_or_path,
            Path(config.preprocessing_cache_dir).parent,
            request.resolved.locate(config.model_name_or_path),
        )
        if source != named_base:
            reporter.warn(f"the adapter was trained on {named_base}; it is compared on {source}, as the config says")
        tokenizer = load_tokenizer(source)
        template = PromptTemplate(tokenizer, request.system_prompt)
        model = load_adapter(load_base(source, choose_placement(config)), adapter)
    batch_size = request.batch_size or config.inference.batch_size or config.per_device_eval_batch_size
    return Pair(model, tokenizer, template, config.cutoff_len, batch_size)


def _inputs(request: CompareRequest, adapter: Path, test_file: Path, rows: int) -> dict[str, Any]:
    """Everything the scores depend on: a folder goes on only with the same."""
    config = request.resolved.values
    facts = {
        "test_file": file_sha256(test_file),
        "adapter": file_sha256(adapter / "adapter_model.safetensors"),
        "base": config.model_name_or_path,
        "rows": rows,
        "mode": request.mode,
        "system_prompt": request.system_prompt,
        "cutoff_len": config.cutoff_len,
        "batch_size": request.batch_size or config.inference.batch_size or config.per_device_eval_batch_size,
        "chunk_size": config.inference.chunk_size,
        "use_qlora": config.use_qlora,
        "bf16": config.bf16,
    }
    facts["hash"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return facts


def _open_folder(folder: ComparisonFolder, inputs: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folder, or go on in it if it is of the same inputs; `overwrite` starts anew."""
    marker = folder.root / "inputs.json"
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        before = json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else None
    except (OSError, ValueError) as error:
        raise OutputError(f"the comparison folder {folder.root} cannot be used: {error}") from None
    if before == inputs:
        return
    if before is not None and not overwrite:
        changed = [key for key in inputs if before.get(key) != inputs[key] and key != "hash"]
        raise OutputError(
            f"{folder.root} holds a comparison of other inputs ({', '.join(changed)} changed)",
            "--overwrite starts anew, --output-dir DIR keeps both",
        )
    if before is None and folder.predictions.exists():
        raise OutputError(f"{folder.predictions} is there, but not by movielora compare", "--output-dir DIR")
    for path in (folder.predictions, folder.eval_predictions, folder.comparison, folder.rows, folder.report):
        path.unlink(missing_ok=True)
    write_json(marker, inputs)
