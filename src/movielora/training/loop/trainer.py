"""TRL's SFTTrainer with movielora's answer position, evaluation, row order and checkpoints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from movielora.errors import WorkError
from movielora.model.adapter import prepare_adapter
from movielora.model.kernels.compiling import compile_layers, uncompiled
from movielora.prompt.spec import PromptSpec, write_prompt_file
from movielora.prompt.token_sets import PromptTokens
from movielora.runs.checkpoint_staging import rotate, staged_checkpoint
from movielora.runs.paths import RESUME_STATE_NAME, TRAINER_STATE_NAME, RunPaths
from movielora.scoring.answer_position import answer_loss, collate
from movielora.scoring.scorer import Scorer
from movielora.storage.atomic import write_json_atomically
from movielora.training.loop.arguments import optimizer_options
from movielora.training.loop.batch import StepDown
from movielora.training.loop.early_stopping import is_better
from movielora.training.loop.evaluation import evaluation_metrics
from movielora.training.loop.logged_loss import UnloggedLoss
from movielora.training.loop.optimizer import MasterAdamW
from movielora.training.loop.sampler import LengthGroupedSampler
from movielora.training.resume import ResumeState

_RANDOM_STATE = "rng_state.pth"
# Without one of these a resumed training would go on with other losses, or not at all.
_CHECKPOINT_FILES = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "optimizer.pt",
    "scheduler.pt",
    _RANDOM_STATE,
    TRAINER_STATE_NAME,
    RESUME_STATE_NAME,
)


class EvaluationLeft(Exception):  # noqa: N818 - a way out, not an error
    """Raised by `on_eval_batch` to leave an evaluation; `save` asks for a checkpoint of the step it stood at."""

    def __init__(self, *, save: bool) -> None:
        super().__init__()
        self.save = save


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains on the answer's tokens and evaluates by the two logits at the answer position.

    `on_eval_batch` gets the rows done and all rows during an evaluation; it may raise EvaluationLeft. `on_saving` is
    called before a save, `on_save_error` when it failed; it may raise to end the training. `examples_seen` and
    `tokens_seen` (prompt and answer, no padding) count what this process has trained on; `rates` are its last speeds,
    per second. `eval_users`: the user of each evaluation row as a number, if known. `best_by`: the metric that decides
    which evaluation is best. `compiled`: in training the decoder layers go through torch.compile.
    """

    def __init__(
        self,
        *,
        model: Any,
        args: SFTConfig,
        train: PromptTokens,
        train_rows: np.ndarray[Any, np.dtype[np.int64]],
        evaluation: PromptTokens | None,
        eval_rows: np.ndarray[Any, np.dtype[np.int64]],
        peft_config: Any,
        tokenizer: Any,
        paths: RunPaths,
        keep_checkpoints: int | None,
        identity: dict[str, str],
        spec: PromptSpec,
        steps_per_epoch: int,
        eval_users: np.ndarray[Any, np.dtype[np.int64]] | None = None,
        best_by: str | None = None,
        compiled: bool = False,
    ) -> None:
        self._train, self._evaluation, self._eval_rows = train, evaluation, eval_rows
        self._eval_users = eval_users
        self._paths, self._keep, self._identity, self._spec = paths, keep_checkpoints, identity, spec
        self.steps_per_epoch = steps_per_epoch
        self._compiled = compiled
        self._best_by = best_by
        self._loss = UnloggedLoss()
        self._random_state_of: Path | None = None
        self._staging: Path | None = None
        self.on_eval_batch: Callable[[int, int], None] = lambda done, total: None
        self.on_saving: Callable[[int], None] = lambda step: None
        self.on_save_error: Callable[[int, Exception], None] = _raise_save_error
        self.step_down = StepDown(args.per_device_train_batch_size, warn=lambda text: None)
        self.examples_seen = self.tokens_seen = 0
        self.rates: dict[str, float] = {}
        self._train_lengths = train.lengths[train_rows]
        rows = Dataset.from_dict({"row": train_rows})
        super().__init__(
            model=model,
            args=args,
            train_dataset=rows,
            # Evaluation reads `evaluation` itself; the library only wants to see that there is something.
            eval_dataset=Dataset.from_dict({"row": eval_rows}) if evaluation is not None else None,
            data_collator=self._collate,
            peft_config=peft_config,
            processing_class=tokenizer,
            optimizer_cls_and_kwargs=(MasterAdamW, optimizer_options(args)),
        )
        self._prepare_adapter = partial(prepare_adapter, mixed_fp16=args.fp16, compiled=compiled)
        self._prepare_adapter(self.model)
        if compiled:
            compile_layers(self.model)
        self.remove_callback(PrinterCallback)  # the run's own callback reports

    def _collate(self, items: list[dict[str, int]]) -> dict[str, Any]:
        batch = collate(self._train, [item["row"] for item in items])
        return {
            "input_ids": batch.input_ids,
            "prompt_lengths": batch.prompt_lengths,
            "labels": batch.answers,
            "tokens": int(batch.prompt_lengths.sum()) + len(items),
        }

    def get_train_dataloader(self) -> Any:
        """Micro-batches in the order of our sampler; the library's own loader would take its sampler."""
        rows, size = self.train_dataset, self.args.train_batch_size
        sampler = LengthGroupedSampler(
            self._train_lengths, size, size * self.args.gradient_accumulation_steps, self.args.seed
        )
        return self.accelerator.prepare(
            DataLoader(
                rows,
                batch_size=size,
                sampler=sampler,
                collate_fn=self.data_collator,
                pin_memory=self.args.dataloader_pin_memory,
            )
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: Any
    ) -> tuple[list[dict[str, Any]], torch.Tensor]:
        """The micro-batches of one optimiser step and their answer tokens: each entry of `labels` is one, none is
        shifted away as the library would have it."""
        batches = list(islice(epoch_iterator, num_batches))
        return batches, torch.tensor(sum(batch["labels"].numel() for batch in batches), device=device)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Over adapters in their own dtype: PEFT raises bf16 adapters to fp32 as a resume loads them."""
        self._prepare_adapter(self.model)
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        return optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch, in parts once memory has run out; its share of the loss."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        step = partial(super().training_step, model, num_items_in_batch=num_items_in_batch)
        loss: torch.Tensor = self.step_down.run(step, inputs, trained)
        self._loss.add(loss, self.state.global_step)
        self.tokens_seen += inputs["tokens"]
        self.examples_seen += len(inputs["labels"])
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The library's own, with the loss since the last log even if that was before a resume."""
        if "loss" in logs:
            logs["loss"] = self._loss.take_mean(self.state.global_step)
        super().log(logs, start_time)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy over the answer tokens of the whole optimiser step, in nats."""
        with self.accelerator.autocast():
            summed = answer_loss(model, inputs["input_ids"], inputs["prompt_lengths"], inputs["labels"])
        loss = summed / (inputs["labels"].numel() if num_items_in_batch is None else num_items_in_batch)
        return (loss, None) if return_outputs else loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Score the evaluation rows with the scorer that `compare` uses, and log the metrics.

        An evaluation that was interrupted gives {}; the checkpoint saved then lacks it, and a resume adds it.
        """
        if self._evaluation is None:
            return {}
        try:
            return self._score_evaluation(self._evaluation, metric_key_prefix)
        except EvaluationLeft as left:
            self.control.should_training_stop = True
            self.control.should_save = left.save
            return {}

    def evaluate_again(self, checkpoint: Path) -> None:
        """The evaluation that the resumed checkpoint lacks, with what follows from it, as if it had been made then."""
        metrics = self.evaluate()
        if metrics and self.control.should_save:
            self._random_state_of = checkpoint  # the loop has not read it yet, and this is still that step
            self._save_checkpoint(self.model, None)
            self._random_state_of = None
            self.control.should_save = False

    def restore_loss(self, state: ResumeState) -> None:
        """Continue the sum of the loss where the checkpoint stood between two logs."""
        self._loss = UnloggedLoss(state.unlogged_loss, state.logged_step)

    def _score_evaluation(self, evaluation: PromptTokens, metric_key_prefix: str) -> dict[str, float]:
        self.model.eval()
        started = time.monotonic()
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            self.on_eval_batch(done, len(self._eval_rows))

        found = evaluation_metrics(self.scorer(self.model), evaluation, self._eval_rows, advance, self._eval_users)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        metrics[f"{metric_key_prefix}_seconds"] = time.monotonic() - started
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)  # changes `control` in place
        self._keep_best(metrics)
        return metrics

    def _keep_best(self, metrics: dict[str, float]) -> None:
        """Note the best evaluation in the state, which checkpoints carry."""
        if self._best_by is None:
            return
        value = metrics[f"eval_{self._best_by}"]
        if is_better(value, self.state.best_metric, self._best_by):
            self.state.best_metric, self.state.best_global_step = value, self.state.global_step

    def scorer(self, model: Any) -> Scorer:
        """Scores `model` as this training computes: its evaluation batch, its autocast, and no compiler."""
        return Scorer.of_model(model, batch_size=self.args.per_device_eval_batch_size, inside=self._scoring)

    @contextmanager
    def _scoring(self) -> Iterator[None]:
        with self.accelerator.autocast(), uncompiled() if self._compiled else nullcontext():
            yield

    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def all_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The library's own save, into a staging folder that becomes the checkpoint once it is whole."""
        step = self.state.global_step
        self.on_saving(step)
        try:
            with staged_checkpoint(self._paths, step, required=_CHECKPOINT_FILES) as folder:
                self._write_checkpoint(model, trial, folder)
        # torch and safetensors have their own words for a disk that is full.
        except (OSError, RuntimeError, SafetensorError, WorkError) as error:
            self.on_save_error(step, error)
            return
        rotate(self._paths, keep=self._keep, best_step=self.state.best_global_step)

    def _write_checkpoint(self, model: Any, trial: Any, folder: Path) -> None:
        # The library writes `checkpoint-N` inside the folder it is given; its files are moved up one.
        self._staging = folder
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._staging = None
        inner = folder / f"checkpoint-{self.state.global_step}"
        for path in inner.iterdir():
            path.rename(folder / path.name)
        inner.rmdir()
        if self._random_state_of is not None:
            shutil.copyfile(self._random_state_of / _RANDOM_STATE, folder / _RANDOM_STATE)
        if self.state.best_global_step:
            self.state.best_model_checkpoint = str(self._paths.checkpoint(self.state.best_global_step))
        self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
        kept = ResumeState(
            self._identity,
            self._loss.total,
            self._loss.logged_step(self.state.global_step),
            self.steps_per_epoch,
            self._best_by or "",
        )
        write_json_atomically(folder / RESUME_STATE_NAME, kept.to_json())
        write_prompt_file(folder, self._spec)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging is not None else str(super()._get_output_dir(trial))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No generated model card beside every checkpoint: run.json says what was done."""


def _raise_save_error(step: int, error: Exception) -> None:
    raise error
