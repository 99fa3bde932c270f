"""What a training will cost before it starts: how long, what is downloaded, how much disk its checkpoints take.

The time is that of an earlier run of the same kind on this machine if there is one, else an estimate; which of the two
is said. Early stopping may end a training sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.config import Config, ResolvedConfig
from movielora.dataset.find import find_dataset
from movielora.errors import RequestError
from movielora.examples.example_set import ExampleSet
from movielora.examples.load import ExampleLoader
from movielora.machine.gpu import Gpu
from movielora.machine.units import GIB
from movielora.model import tiny
from movielora.model.estimates.download import BaseDownload, plan_download
from movielora.model.estimates.memory import Setup, Shape, estimate, setup_of
from movielora.model.estimates.recommendation import recommend
from movielora.model.estimates.speed import EVALUATION_SHARE, Hardware, gpu_hardware, hardware_here, seconds_per_example
from movielora.progress import Reporter
from movielora.prompt.lengths import count_characters
from movielora.prompt.spec import PromptSpec
from movielora.runs.lookup.find import DEFAULT_ROOT
from movielora.runs.status.pace import Pace, measured_pace
from movielora.storage.disk import free_bytes
from movielora.training.steps import planned_steps

# MovieLens latest-small as `prepare` splits it; what a plan is made for while the data is not there.
_USUAL_EXAMPLES, _USUAL_TOKENS = 78_271, 355
# Tokens of a character of a rendered example, chat form included. Measured on MovieLens latest-small with Qwen3's
# tokenizer; the embedded base's has 0.55 there and 0.35 on the synthetic ratings that it was made for.
_TOKENS_OF_A_CHARACTER, _TOKENS_OF_A_CHARACTER_TINY = 0.425, 0.45
_ROWS_MEASURED = 2000
_MOST_LOST_SECONDS = 1800.0
# tokenizer.json of Qwen3, which is in every checkpoint.
_TOKENIZER_BYTES = 11_500_000
# Of a checkpoint: random state, schedule, settings, headers.
_SMALL_FILES = 60_000
# Trainings are as fast as one another only if all of these are the same.
_SPEED_KEYS = (
    "model_name_or_path", "use_qlora", "bf16", "fp16", "flash_attn", "enable_liger_kernel", "torch_compile",
    "gradient_checkpointing", "lora_target", "lora_rank",
)  # fmt: skip
_DATA_KEYS = ("dataset_dir", "dataset", "train_file", "cutoff_len", "prompt_history_len")
# The cards of `docs/gpu.md`'s table, with their memory.
SHOWN_GPUS = (
    ("RTX 3090", 24 * GIB), ("L4", 24 * GIB), ("RTX 4090", 24 * GIB), ("A100", 40 * GIB), ("H100", 80 * GIB),
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """How much is to be trained. `assumed`: the data is not there, and a usual dataset was taken in its place."""

    examples: int
    tokens: float
    evaluation_rows: int
    assumed: bool = False


@dataclass(frozen=True)
class Duration:
    """Seconds of the whole training if nothing stops it early, and of one optimiser step. `how`: measured by which run,
    or estimated from what; `where`: the processor that computes."""

    seconds: float
    step_seconds: float
    measured: bool
    how: str
    where: str


@dataclass(frozen=True)
class Disk:
    """Bytes of one checkpoint, of the run folder at its largest, and how many checkpoints that holds; bytes free."""

    checkpoint_bytes: int
    checkpoints: int
    run_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Outlook:
    """`lost_seconds`: the most training that a crash can lose, the time between two checkpoints."""

    work: Work
    steps: int
    evaluations: int
    save_steps: int
    duration: Duration
    download: BaseDownload
    disk: Disk

    @property
    def lost_seconds(self) -> float:
        return min(self.save_steps, self.steps) * self.duration.step_seconds

    @property
    def wise_save_steps(self) -> int | None:
        """Steps between checkpoints with which a crash loses half an hour at most; None if it does already."""
        if self.lost_seconds <= _MOST_LOST_SECONDS:
            return None
        return max(1, int(_MOST_LOST_SECONDS / self.duration.step_seconds))

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": self.duration.seconds,
            "seconds_measured": self.duration.measured,
            "seconds_from": self.duration.how,
            "computes_on": self.duration.where,
            "step_seconds": self.duration.step_seconds,
            "lost_seconds": self.lost_seconds,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "examples": self.work.examples,
            "tokens_per_example": self.work.tokens,
            "data_assumed": self.work.assumed,
            "download": self.download.to_json(),
            "checkpoint_bytes": self.disk.checkpoint_bytes,
            "checkpoints": self.disk.checkpoints,
            "run_bytes": self.disk.run_bytes,
            "free_bytes": self.disk.free_bytes,
        }


def work_of(config: Config, train: ExampleSet, evaluation: ExampleSet | None) -> Work:
    """What a config makes of its data; the tokens are estimated from the characters of a sample. Raises DataError."""
    rows = np.linspace(0, len(train) - 1, min(len(train), _ROWS_MEASURED)).astype(np.int64)
    spec = PromptSpec.of_config(config, getattr(train, "history_len", None))
    characters = float(count_characters(train.select(rows), spec).mean())
    ratio = _TOKENS_OF_A_CHARACTER_TINY if config.model_name_or_path == tiny.NAME else _TOKENS_OF_A_CHARACTER
    tokens = min(characters * ratio, config.cutoff_len)
    return Work(
        min(len(train), config.max_samples or len(train)),
        tokens,
        0 if evaluation is None else min(len(evaluation), config.max_eval_samples or len(evaluation)),
    )


def find_work(resolved: ResolvedConfig, reporter: Reporter) -> Work:
    """What the config's data is, or what is usual if it is not there yet. Raises DataError if it is damaged."""
    config = resolved.values
    try:
        files = find_dataset(resolved)
    except RequestError:  # `train` and doctor's check `data` report it
        return usual_work(config)
    loader = ExampleLoader(config.prompt_history_len, reporter)
    return work_of(config, loader.open(files.train), loader.open(files.evaluation) if files.evaluation else None)


def usual_work(config: Config) -> Work:
    """What a plan is made for while the data is not there."""
    examples = min(_USUAL_EXAMPLES, config.max_samples or _USUAL_EXAMPLES)
    rows = 0 if config.eval_strategy == "no" else config.max_eval_samples or _USUAL_EXAMPLES // 8
    return Work(examples, min(_USUAL_TOKENS, config.cutoff_len), rows, assumed=True)


def look_ahead(resolved: ResolvedConfig, work: Work, shape: Shape, setup: Setup, gpus: Sequence[Gpu]) -> Outlook:
    """The outlook of a config whose micro-batch is settled, as `setup.rows` says, on this machine's processor."""
    config = resolved.values
    hardware = hardware_here(setup, list(gpus), fp16=config.fp16)
    steps = planned_steps(config, work.examples)
    evaluations = _evaluations(config, steps)
    example = seconds_per_example(shape, setup, work.tokens, hardware)
    how, measured = hardware.how, False
    if (pace := _earlier_pace(config, setup)) is not None:
        example, how, measured = pace.seconds_per_example(work.tokens), f"measured by the run {pace.run}", True
    step = example * config.rows_per_step
    evaluating = evaluations * work.evaluation_rows * example * EVALUATION_SHARE
    return Outlook(
        work,
        steps,
        evaluations,
        config.save_steps,
        Duration(steps * step + evaluating, step, measured, how, hardware.name),
        plan_download(config.model_name_or_path, resolved.locate(config.model_name_or_path), shape),
        _disk(resolved, shape, setup, steps, evaluations),
    )


def on_shown_gpus(config: Config, work: Work, shape: Shape) -> list[tuple[Hardware, float]]:
    """(GPU, estimated seconds) of the training on some usual cards, with the settings recommended for their memory."""
    setup = setup_of(config, "cuda", bf16_is_fast=True)
    found = []
    for name, memory in SHOWN_GPUS:
        chosen = recommend(shape, setup, memory, config.rows_per_step).setup
        hardware = gpu_hardware(name, half_precision=chosen.compute_bytes == 2 or config.fp16)
        settled = config.with_micro_batch(chosen.rows)
        steps = planned_steps(settled, work.examples)
        example = seconds_per_example(shape, chosen, work.tokens, hardware)
        evaluating = _evaluations(config, steps) * work.evaluation_rows * EVALUATION_SHARE
        found.append((hardware, (steps * config.rows_per_step + evaluating) * example))
    return found


def _evaluations(config: Config, steps: int) -> int:
    if config.eval_strategy == "no":
        return 0
    if config.eval_strategy == "epoch":
        return max(1, round(config.num_train_epochs))
    return steps // config.eval_steps


def _earlier_pace(config: Config, setup: Setup) -> Pace | None:
    values = config.model_dump()
    wanted = {key: values[key] for key in _SPEED_KEYS} | {"per_device_train_batch_size": setup.rows}
    data = {key: values[key] for key in _DATA_KEYS}
    return measured_pace((DEFAULT_ROOT, Path(config.output_dir).parent), wanted, data, setup.device)


def _disk(resolved: ResolvedConfig, shape: Shape, setup: Setup, steps: int, evaluations: int) -> Disk:
    """A checkpoint holds adapter, optimiser and tokenizer; one more than are kept is there while it is written."""
    config = resolved.values
    parts = estimate(shape, setup).parts
    tokenizer = _tokenizer_bytes(resolved)
    checkpoint = parts["adapters"] + parts["optimizer"] + tokenizer + _SMALL_FILES
    made = steps // config.save_steps + evaluations + 1
    count = made if config.save_total_limit is None else min(config.save_total_limit + 1, made)
    run = count * checkpoint + parts["adapters"] + tokenizer
    return Disk(checkpoint, count, run, free_bytes(Path(config.output_dir)))


def _tokenizer_bytes(resolved: ResolvedConfig) -> int:
    name = resolved.values.model_name_or_path
    if name == tiny.NAME:
        return tiny.TOKENIZER_BYTES
    files = resolved.locate(name).glob("tokenizer*.json")
    return sum(file.stat().st_size for file in files) or _TOKENIZER_BYTES
