"""How many rows at once: `per_device_train_batch_size: auto` by the estimate, then halved if memory really runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil

from movielora.config import ResolvedConfig
from movielora.errors import WorkError
from movielora.machine.gpu import visible_gpus
from movielora.model.base import Device, bf16_is_fast
from movielora.model.estimates.memory import find_shape, setup_of
from movielora.model.estimates.recommendation import largest_batch
from movielora.progress import Reporter

_LESS = "--set gradient_checkpointing=true, or a lower cutoff_len; movielora fit --config C says what fits"


def settle_batch(resolved: ResolvedConfig, recorded: ResolvedConfig | None, reporter: Reporter) -> ResolvedConfig:
    """`auto` becomes a number of rows, the effective batch kept; anything else is left as written.

    `recorded`: the run that is resumed, whose rows are taken again, because the order of the data depends on them.
    """
    config = resolved.values
    if config.per_device_train_batch_size != "auto":
        return resolved
    if recorded is not None and recorded.values.per_device_train_batch_size != "auto":
        return replace(resolved, values=config.with_micro_batch(recorded.values.micro_batch))
    device, free = _free_memory()
    setup = setup_of(config, device, bf16_is_fast=bf16_is_fast(device))
    found = largest_batch(find_shape(resolved), setup, free, config.rows_per_step)
    settled = config.with_micro_batch(found.setup.rows)
    reporter.note(
        f"Batch: {settled.micro_batch} rows at once × {settled.gradient_accumulation_steps}, an estimated "
        f"{found.peak_bytes / 1e9:.1f} GB of {free / 1e9:.1f} GB free"
    )
    if not found.fits:
        reporter.warn(f"even one row is estimated not to fit: {_LESS}")
    return replace(resolved, values=settled)


def _free_memory() -> tuple[Device, int]:
    """Where the training will run, and the bytes free there."""
    import torch

    if not torch.cuda.is_available():
        return "cpu", psutil.virtual_memory().available
    gpus = visible_gpus()
    first = gpus[0] if gpus else None
    if first and first.memory_total_bytes is not None and first.memory_used_bytes is not None:
        return "cuda", first.memory_total_bytes - first.memory_used_bytes
    return "cuda", int(torch.cuda.get_device_properties(0).total_memory)


class StepDown:
    """Runs a micro-batch in parts of at most `rows`; if memory runs out the parts are halved, and stay so.

    The loss is a sum over rows, so parts give the micro-batch's own gradient, and the effective batch, the order of
    the data and the count of steps stay as they were.
    """

    def __init__(self, rows: int, warn: Callable[[str], None]) -> None:
        self.rows = rows
        self._warn = warn

    def run(self, step: Callable[[dict[str, Any]], Any], inputs: dict[str, Any], parameters: list[Any]) -> Any:
        """The summed loss of `step` over the parts of `inputs`; `parameters` are those whose gradients it fills.

        Raises WorkError if one row is too much.
        """
        total: Any = None
        done, count = 0, len(inputs["labels"])
        while done < count:
            part = rows_of(inputs, done, min(done + self.rows, count))
            before = [None if each.grad is None else each.grad.clone() for each in parameters]
            loss, failed = _attempt(step, part)
            if failed:
                for each, gradient in zip(parameters, before, strict=True):
                    each.grad = gradient  # a backward pass that broke off has left half of its own
                self._halve(failed)
                continue
            total = loss if total is None else total + loss
            done += len(part["labels"])
        return total

    def _halve(self, said: str) -> None:
        _release()
        if self.rows == 1:
            raise WorkError(f"one row at a time is too much for this memory: {said}", _LESS)
        self.rows //= 2
        self._warn(f"out of memory: continuing with {self.rows} rows at once; the effective batch stays the same")


def rows_of(inputs: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """A collated micro-batch cut to rows `start` … `end` − 1, padding shortened to the longest of them."""
    if start == 0 and end == len(inputs["labels"]):
        return inputs
    lengths = inputs["prompt_lengths"][start:end]
    longest = int(lengths.max()) + 1
    return {
        "input_ids": inputs["input_ids"][start:end, :longest],
        "prompt_lengths": lengths,
        "labels": inputs["labels"][start:end],
        "tokens": int(lengths.sum()) + end - start,
    }


def _attempt(step: Callable[[dict[str, Any]], Any], part: dict[str, Any]) -> tuple[Any, str]:
    """The loss, or a message why memory ran out. The error itself is dropped: it holds the activations."""
    try:
        return step(part), ""
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None, (str(error).strip().splitlines() or ["out of memory"])[0]


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA's error, and what the CPU's allocator says: a plain RuntimeError there."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
