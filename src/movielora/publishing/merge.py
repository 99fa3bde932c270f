"""The recipe of `movielora merge`: add the adapter to 16-bit weights, and check that the answers stay the same.

W + scale · B A (Hu et al. 2021, arXiv:2106.09685) is summed in fp32 and rounded once to bf16. The folder is complete or
absent: it is written and scored under a working name (`storage/complete_folder.py`), and renamed at the end.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_columns, find_test_file
from movielora.errors import DataError, ModelError, OutputError, first_line
from movielora.evaluation.judged.run_training import training_of
from movielora.examples.example import Example
from movielora.examples.load import ExampleLoader
from movielora.examples.trained_rows import TrainedRows
from movielora.machine.process_settings import settings_undone
from movielora.model.adapter_config import refuse_unmergeable
from movielora.model.base import Placement, load_base
from movielora.model.lora import load_adapter, read_adapter_config
from movielora.progress import SILENT, Reporter
from movielora.prompt.spec import INSTRUCTION, write_prompt_file
from movielora.runs.paths import PROMPT_NAME
from movielora.scoring.score_change import ScoreChange, log_odds, rows_for_change, score_change
from movielora.scoring.scorer import ScorerSetup, config_of_run
from movielora.storage.complete_folder import make_working_folder, publish, remove_abandoned, working_path

MERGED_DTYPE = "bfloat16"
# Rounding to bf16 moves log-odds by hundredths.
_SUSPICIOUS = 0.5
# Of the largest logit, in fp32: sums in another order differ by a millionth a layer.
_SAME = 1e-3
_APART = "keep base and adapter apart: movielora compare scores them as they are"


@dataclass(frozen=True)
class MergeRequest:
    """`run`: a run folder, or an adapter folder beside a `config.yaml`; `rows`: how many are scored again."""

    run: Path
    output_dir: Path
    test_file: Path | None = None
    rows: int = 200


@dataclass(frozen=True)
class Merged:
    """`bytes` of all files of the folder; `change` is None if there were no rows to score."""

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


@settings_undone()
def merge(request: MergeRequest, reporter: Reporter) -> Merged:
    """Score, merge, save, load what was saved, score again; `output_dir` then has model, tokenizer and `prompt.json`.

    After an error nothing is at `output_dir`. Raises ModelError for an adapter that cannot be merged or whose merged
    weights answer otherwise, OutputError if `output_dir` holds something already or cannot be written.
    """
    refuse_unmergeable(read_adapter_config(request.run), request.run)
    _refuse_occupied(request.output_dir)
    resolved = config_of_run(request.run)
    # A run that used a GPU's kernels can be merged without a GPU: before and after are scored alike.
    setup = ScorerSetup.of_config(
        resolved, adapter=request.run, batch_size=resolved.values.per_device_eval_batch_size, own_kernels=False
    )
    examples = _rows(request, setup, resolved, reporter)
    before, change = None, None
    with _new_folder(request.output_dir) as working:
        if examples:
            before = log_odds(setup.load(request.run, reporter), examples, reporter, "Scoring before")
            gc.collect()
        with reporter.phase("Merging"):
            _merge_and_save(setup, request, working)
        if before is not None:
            merged = setup.with_base(str(working)).load(None, reporter)
            change = score_change(before, log_odds(merged, examples, reporter, "Scoring after"))
            _judge(change, setup, reporter)
    size = sum(file.stat().st_size for file in request.output_dir.iterdir())
    return Merged(request.output_dir, setup.source, size, change)


def _judge(change: ScoreChange, setup: ScorerSetup, reporter: Reporter) -> None:
    """Raise ModelError if rounding does not explain the change; a 4-bit base does, and is only reported."""
    if change.mean_absolute <= _SUSPICIOUS:
        return
    said = f"the merged model answers differently: {change.sentence()}"
    if not setup.placement.quantized:
        raise ModelError(said, _APART)
    reporter.warn(f"{said}; before, the base was in 4-bit, and the merged weights are not")


@contextmanager
def _new_folder(output_dir: Path) -> Iterator[Path]:
    """Yield a working folder that becomes `output_dir` at the end; after an error it is removed. Raises OutputError.

    Unlike other complete folders it is not private: a server that runs as another user loads it.
    """
    target = output_dir.resolve()  # a rename would replace a link, not what it names
    working = working_path(target.parent, target.name)
    with _output_errors(output_dir):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned([target.parent], target.name)
        make_working_folder(working)
    try:
        yield working
        with _output_errors(output_dir):
            publish(working, target)
    finally:
        shutil.rmtree(working, ignore_errors=True)


@contextmanager
def _output_errors(output_dir: Path) -> Iterator[None]:
    """Raises OutputError for a write that fails inside: the weights' library reports it by an error of its own."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{output_dir} cannot be written: {reason}", "free space, or choose another --output-dir"
        ) from None


def _merge_and_save(setup: ScorerSetup, request: MergeRequest, folder: Path) -> None:
    import torch

    from movielora.model.cpu.lora import unfuse_lora

    # On the CPU, in fp32: memory is larger there, and the sum is rounded once.
    plain = Placement("cpu", "float32", quantized=False, attention="sdpa")
    model = load_adapter(load_base(setup.source, plain), request.run)
    unfuse_lora(model)
    merged = _merge_exactly(model, setup.prompts.tokenizer, request.run).to(torch.bfloat16)
    with _output_errors(request.output_dir):
        merged.save_pretrained(folder)
        setup.prompts.tokenizer.save_pretrained(folder)
        write_prompt_file(folder, setup.prompts.template.spec, private=False)
        _write_trained_rows(setup, request.run, folder)
        _open_as(folder, (folder / PROMPT_NAME).stat().st_mode)


def _open_as(folder: Path, mode: int) -> None:
    """The weights' library keeps its files private; they get the mode of a file that was made as the umask says."""
    for path in folder.iterdir():
        path.chmod(mode)


def _write_trained_rows(setup: ScorerSetup, run: Path, folder: Path) -> None:
    """Whoever judges or trains the merged model can know what it has seen: the adapter's rows, and its base's."""
    rows, before = training_of(run, SILENT).rows, TrainedRows.read(Path(setup.source))
    if rows is not None or before is not None:
        (rows or TrainedRows()).joined(before).write(folder)


def _merge_exactly(model: Any, tokenizer: Any, run: Path) -> Any:
    """The base with the adapter in its weights. Raises ModelError if its logits are not the adapter's: the sum is the
    same up to the rounding of fp32, whatever the adapter is."""
    import torch

    ids = tokenizer(INSTRUCTION, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        wanted = model(input_ids=ids).logits
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise ModelError(f"PEFT cannot merge the adapter {run}: {first_line(error)}", _APART) from error
    with torch.inference_mode():
        found = merged(input_ids=ids).logits
    apart = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1.0))
    if not apart <= _SAME:  # also if it is NaN
        raise ModelError(f"the merged weights of {run} are not the adapter's: logits differ by {apart:.2g}", _APART)
    return merged


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists already and is not empty", "choose a new --output-dir")
    if folder.is_mount():
        raise OutputError(f"{folder} is a mount point, which cannot be renamed to", "name a new folder in it")


def _rows(request: MergeRequest, setup: ScorerSetup, resolved: ResolvedConfig, reporter: Reporter) -> list[Example]:
    """The rows to score twice. If the data is missing, nothing is compared, with a warning."""
    try:
        loader = ExampleLoader(setup.prompts.template.spec.history_len, reporter, find_columns(resolved))
        examples = loader.open(request.test_file or find_test_file(resolved))
    except DataError as error:
        if request.test_file:
            raise
        reporter.warn(f"the answers are not compared: {error.message}; name rows with --test-file FILE")
        return []
    return [examples[row] for row in rows_for_change(len(examples), request.rows)]
