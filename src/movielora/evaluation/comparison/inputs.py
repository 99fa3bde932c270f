"""What a comparison reads: files and rows, and what its scores depend on, by which an interrupted one continues."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from movielora.dataset.find import find_dataset, find_test_file, split_beside
from movielora.errors import RequestError
from movielora.evaluation.comparison.request import AdapterAndBase, CompareRequest, ExternalOnly, TwoRuns
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.judged.sample import ChosenRows
from movielora.examples.example_set import Rows
from movielora.examples.load import ExampleLoader
from movielora.model.folder import base_hash
from movielora.progress import Reporter
from movielora.prompt.token_cache import prompt_key
from movielora.runs.paths import RunPaths
from movielora.scoring.scorer import ScorerSetup
from movielora.storage.hashing import file_sha256

# A temperature and a threshold need no more rows than this; every n-th is taken, so that all users are among them.
EVAL_ROWS = 2_000


def split_files(request: CompareRequest, reporter: Reporter) -> SplitFiles:
    """The test file, and the splits that baselines and calibration are fitted on if they can be found."""
    if isinstance(request.kind, ExternalOnly):
        test = request.kind.test_file
        return SplitFiles(test, split_beside(test, "train"), split_beside(test, "eval"))
    resolved = request.kind.resolved
    test = request.test_file or find_test_file(resolved)
    try:
        found = find_dataset(resolved)
    except RequestError as error:
        reporter.warn(f"baselines that need training are left out: {error}")
        return SplitFiles(test)
    return SplitFiles(test, found.train, found.evaluation or split_beside(found.train, "eval"))


def spread_rows(count: int, most: int | None) -> Rows:
    """At most `EVAL_ROWS` (and `most`) of `count` row numbers, evenly spread."""
    step = max(1, -(-count // min(EVAL_ROWS, most or EVAL_ROWS)))
    return np.arange(0, count, step, dtype=np.int64)


def score_inputs(
    request: CompareRequest,
    kind: AdapterAndBase | TwoRuns,
    setups: Sequence[ScorerSetup],
    columns: Sequence[tuple[Path, Sequence[str]]],
    files: SplitFiles,
    loader: ExampleLoader,
    chosen: ChosenRows,
    eval_places: Rows,
    eval_left_out: int,
) -> dict[str, Any]:
    """Everything the scores depend on, by name: a folder continues only with the same. `setups` and `columns`
    (adapter folder, names of its columns) are one for each pass."""
    setup = setups[0]
    placement = setup.placement.to_json()
    for words in ("attention_reason", "liger_reason"):  # about the choice; the scores depend on the choice
        placement.pop(words)
    if not setup.placement.liger:  # comparisons that began before the key was recorded continue
        placement.pop("liger")
    prompts = [each.prompts for each in setups]
    paths = [RunPaths(adapter) for adapter, _ in columns]
    return {
        "test_file": loader.content_hash(files.test),
        "eval_file": loader.content_hash(files.eval) if files.eval and len(eval_places) else None,
        "adapter_weights": [file_sha256(each.adapter_weights) for each in paths],
        "adapter_config": [file_sha256(each.adapter_config) for each in paths],
        "columns": [list(names) for _, names in columns],
        "base": base_hash(setup.source),
        "prompt": [prompt_key(each.template, each.tokenizer, each.cutoff_len) for each in prompts],
        "placement": placement,
        "rows": len(chosen.places),
        "eval_rows": len(eval_places),
        **({"sample": rows_digest(chosen.places)} if chosen.is_sample else {}),
        **({"eval_sample": rows_digest(eval_places)} if eval_left_out else {}),
        "mode": request.mode,
        "system_prompt": request.system_prompt,
        "cutoff_len": prompts[0].cutoff_len,
        "batch_size": setup.batch_size,
        "chunk_size": kind.resolved.values.inference.chunk_size,
        "base_precision": kind.base_precision,
    }


def rows_digest(places: Rows) -> str:
    """What tells these row numbers from others."""
    return hashlib.sha256(places.tobytes()).hexdigest()
