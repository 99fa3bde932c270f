"""What happens between steps: progress and heartbeat, metrics, saving the best, stopping early or on request."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from movielora.config import Config
from movielora.config.keys import METRIC_DIRECTIONS
from movielora.errors import WorkError
from movielora.progress import Phase
from movielora.runs.session import RunSession
from movielora.training.trainer import AnswerTrainer


class RunCallback(TrainerCallback):  # type: ignore[misc]
    """Tells the run folder and the user how the training goes, and obeys a request to stop."""

    def __init__(self, session: RunSession, phase: Phase, config: Config, trainer: AnswerTrainer) -> None:
        self._session, self._phase, self._config, self._trainer = session, phase, config, trainer
        self._started = 0.0
        self._first_step = 0
        self._paused = 0.0
        self._loss = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._session.training_started()
        self._started, self._first_step = time.monotonic(), state.global_step
        self._beat(state, phase="training", checks_passed=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._phase.update(state.global_step, self._loss)
        self._beat(state, phase="training")
        if state.global_step >= state.max_steps and self._config.eval_strategy != "no":
            control.should_evaluate = True  # the last weights are judged too, whatever `eval_steps` says
        if self._session.stop.requested:
            control.should_training_stop = True
            control.should_evaluate = False
            control.should_save = self._session.stop.save

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        logs = logs or {}
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise WorkError(
                    f"the training loss is {logs['loss']} at step {state.global_step}",
                    "lower learning_rate, or resume from the last checkpoint with --set learning_rate=…",
                )
            self._loss = f"loss {logs['loss']:.3f}"
            self._beat(state, loss=logs["loss"], learning_rate=logs.get("learning_rate"), force=True)
        kept = {key: value for key, value in logs.items() if isinstance(value, int | float)}
        self._session.log_metrics({**kept, "step": state.global_step, "epoch": state.epoch})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        metrics = metrics or {}
        self._paused += metrics.get("eval_seconds", 0.0)
        if is_better(metrics[f"eval_{self._config.best_metric}"], state.best_metric, self._config.best_metric):
            control.should_save = True  # or the best adapter would be gone at the next step
        patience = self._config.early_stopping_patience
        if patience is not None and evaluations_without_gain(state.log_history, self._config.best_metric) >= patience:
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._beat(state, phase="training")

    def _beat(self, state: TrainerState, **said: Any) -> None:
        elapsed = max(time.monotonic() - self._started - self._paused, 1e-9)
        steps = state.global_step - self._first_step
        rates: dict[str, Any] = {}
        if steps:
            rates = {
                "examples_per_second": self._trainer.examples_seen / elapsed,
                "tokens_per_second": self._trainer.tokens_seen / elapsed,
                "eta_seconds": (state.max_steps - state.global_step) * elapsed / steps,
            }
        self._session.beat(step=state.global_step, max_steps=state.max_steps, epoch=state.epoch or 0.0, **rates, **said)


class LossPlateauCallback(TrainerCallback):  # type: ignore[misc]
    """Stops when the logged training loss has not fallen by `min_delta` for `patience` logs."""

    def __init__(self, patience: int, min_delta: float) -> None:
        self._patience, self._min_delta = patience, min_delta

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        losses = [row["loss"] for row in state.log_history if "loss" in row]
        if logs_without_gain(losses, self._min_delta) >= self._patience:
            control.should_training_stop = True


def tensorboard_callback(folder: Path) -> TrainerCallback:
    """TensorBoard's files into the run's own folder; left alone, transformers names one by host and time."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(log_dir=str(folder)))


def is_better(value: float, best: float | None, metric: str) -> bool:
    """Whether `value` beats `best`; NaN never does, and anything else beats none."""
    if math.isnan(value):
        return False
    if best is None or math.isinf(best):
        return True
    return value > best if METRIC_DIRECTIONS[metric] else value < best


def evaluations_without_gain(log_history: list[dict[str, Any]], metric: str) -> int:
    """Evaluations since the best one. Read from the log, which checkpoints keep, so a resumed run counts on."""
    best: float | None = None
    since = 0
    for row in log_history:
        if (value := row.get(f"eval_{metric}")) is None:
            continue
        if is_better(value, best, metric):
            best, since = value, 0
        else:
            since += 1
    return since


def logs_without_gain(losses: list[float], min_delta: float) -> int:
    """Logs since the loss last fell by more than `min_delta` below its lowest."""
    lowest, since = math.inf, 0
    for loss in losses:
        if loss < lowest - min_delta:
            lowest, since = loss, 0
        else:
            since += 1
    return since
