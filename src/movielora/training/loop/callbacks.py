"""What happens between steps: progress and heartbeat, metrics, saving the best, stopping early or on request."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from movielora.config import Config
from movielora.errors import WorkError, first_line, shell_command
from movielora.progress import Phase, Reporter
from movielora.runs.checkpoints import inspect
from movielora.runs.session import RunSession
from movielora.training.loop.early_stopping import (
    best_kept_evaluation,
    early_stop_reason,
    evaluation_is_due,
    is_better,
)
from movielora.training.loop.evaluation_line import evaluation_line
from movielora.training.loop.trainer import AnswerTrainer, EvaluationLeft
from movielora.training.loop.utilisation import least_seconds_per_token
from movielora.training.resume import ResumePlan


class TrainingOver(Exception):  # noqa: N818 - a way out, not an error
    """A resumed training has no step left to do; only what comes after the training remains."""


class RunCallback(TrainerCallback):  # type: ignore[misc]
    """Reports progress to the run folder and the user, and carries out a request to stop.

    `early_stop`: why the training was over before its last step, in one sentence; "" if it was not.
    """

    def __init__(
        self,
        session: RunSession,
        phase: Phase,
        config: Config,
        trainer: AnswerTrainer,
        plan: ResumePlan | None,
        reporter: Reporter,
    ) -> None:
        self._session, self._phase, self._config, self._trainer = session, phase, config, trainer
        self._plan, self._reporter = plan, reporter
        self._started = 0.0
        self._first_step = 0
        self._paused = 0.0
        self._loss = ""
        self._least_seconds_per_token = 0.0
        self.early_stop = ""
        trainer.on_eval_batch, trainer.on_saving = self._on_eval_batch, self._on_saving
        trainer.on_save_error = self._on_save_error

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._session.training_started()
        self._least_seconds_per_token = least_seconds_per_token(self._trainer.model)
        self._started, self._first_step = time.monotonic(), state.global_step
        self._phase.update(state.global_step)
        self._beat(state, phase="training")
        if self._plan is not None:
            self._restore(self._plan, state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._phase.update(state.global_step, self._loss)
        self._beat(state, phase="training")
        if state.global_step >= state.max_steps and self._config.eval_strategy == "steps":
            control.should_evaluate = True  # the last weights are evaluated too, whatever `eval_steps` says
        if self._session.stop.requested:
            control.should_training_stop = True
            control.should_evaluate = False
            control.should_save = self._session.stop.save

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Between micro-batches only a stop that saves nothing may be carried out: a checkpoint is of a whole step."""
        if self._session.stop.requested and not self._session.stop.save:
            control.should_training_stop = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The library comes here also when a stop breaks the epoch off."""
        if self._session.stop.requested:
            control.should_evaluate = False

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
            self._beat(state, loss=logs["loss"], learning_rate=logs.get("learning_rate"))
        kept = {key: value for key, value in logs.items() if isinstance(value, int | float)}
        self._session.log_metrics({**kept, "step": state.global_step, "epoch": state.epoch})
        if "eval_loss" in kept:
            is_best = self._is_best(kept, state)
            self._reporter.note(evaluation_line(kept, state.global_step, self._config.best_metric, is_best=is_best))
        self._stop_early(state, control)

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
        if self._is_best(metrics, state):
            control.should_save = True  # or the best adapter would be gone at the next step

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._beat(state, phase="training")

    def _is_best(self, metrics: dict[str, float], state: TrainerState) -> bool:
        metric = self._config.best_metric
        return is_better(metrics[f"eval_{metric}"], state.best_metric, metric)

    def _stop_early(self, state: TrainerState, control: TrainerControl) -> None:
        """After every log, evaluations included: a resume applies the same rule. A requested stop goes before it."""
        if self._session.stop.requested or self.early_stop:
            return
        if self._is_over_early(state):
            self._reporter.note(self.early_stop)
            control.should_training_stop = True
            control.should_save = True  # with more patience it can be resumed here

    def _is_over_early(self, state: TrainerState) -> bool:
        self.early_stop = early_stop_reason(state.log_history, self._config, state.global_step, state.max_steps)
        return bool(self.early_stop)

    def _restore(self, plan: ResumePlan, state: TrainerState, control: TrainerControl) -> None:
        """Restore what transformers does not read from a checkpoint, and see whether any step remains."""
        if plan.state is not None:
            self._trainer.restore_loss(plan.state)
        self._restore_best(plan, state)
        if evaluation_is_due(
            state.log_history, self._config, state.global_step, state.max_steps, self._trainer.steps_per_epoch
        ):
            self._trainer.evaluate_again(plan.checkpoint)
        over = state.global_step >= state.max_steps or self._is_over_early(state)
        if over or control.should_training_stop:
            raise TrainingOver

    def _restore_best(self, plan: ResumePlan, state: TrainerState) -> None:
        """The best so far, by the metric that is asked for now, as long as its checkpoint is there to be loaded."""
        metric, before = self._config.best_metric, plan.state.metric if plan.state else ""
        if not state.best_global_step or (before == metric and self._best_is_whole(state.best_global_step)):
            return
        if before == metric:
            self._reporter.warn(
                f"the best checkpoint ({state.best_global_step}) is missing or damaged: the next evaluation is the best"
            )
            self._set_best(state, None)
            return
        best = best_kept_evaluation(state.log_history, metric, self._best_is_whole)
        by = f"by {metric}" + (f" instead of {before}" if before else "")
        self._reporter.warn(
            f"{by}, checkpoint {best[0]:,} is the best so far ({best[1]:.4f})"
            if best
            else f"{by}, no checkpoint that is kept was evaluated: the next evaluation is the best"
        )
        self._set_best(state, best)

    def _set_best(self, state: TrainerState, best: tuple[int, float] | None) -> None:
        state.best_global_step, state.best_metric = best or (None, None)
        state.best_model_checkpoint = str(self._session.paths.checkpoint(best[0])) if best else None

    def _best_is_whole(self, step: int) -> bool:
        folder = self._session.paths.checkpoint(step)
        return folder.is_dir() and inspect(folder, step).complete

    def _on_eval_batch(self, done: int, total: int) -> None:
        self._session.beat(phase="evaluating", phase_done=done, phase_total=total, phase_unit="examples")
        if self._session.stop.requested:
            raise EvaluationLeft(save=self._session.stop.save)

    def _on_saving(self, step: int) -> None:
        self._session.beat(phase="saving", step=step)

    def _on_save_error(self, step: int, error: Exception) -> None:
        said = f"checkpoint {step} could not be saved: {first_line(error)}"
        self._session.describe(save_error={"step": step, "reason": said})
        if self._config.on_save_error == "fail":
            raise WorkError(
                said, f"free some space, then: {shell_command('movielora', 'resume', self._session.call_name)}"
            ) from error
        self._reporter.warn(f"{said}; the earlier checkpoint is kept and training continues")

    def _beat(self, state: TrainerState, **said: Any) -> None:
        elapsed = max(time.monotonic() - self._started - self._paused, 1e-9)
        steps = state.global_step - self._first_step
        rates: dict[str, Any] = {}
        if steps:
            tokens_per_second = self._trainer.tokens_seen / elapsed
            self._trainer.rates = {
                "examples_per_second": self._trainer.examples_seen / elapsed,
                "tokens_per_second": tokens_per_second,
                "flop_utilisation": tokens_per_second * self._least_seconds_per_token,
            }
            rates = {**self._trainer.rates, "eta_seconds": (state.max_steps - state.global_step) * elapsed / steps}
        if torch.cuda.is_available():  # inside a container the driver shows no process, so torch's own count is used
            rates["gpu_peak_bytes"] = torch.cuda.max_memory_allocated()
        self._session.beat(step=state.global_step, max_steps=state.max_steps, epoch=state.epoch or 0.0, **rates, **said)


def tensorboard_callback(folder: Path) -> TrainerCallback:
    """TensorBoard's files into the run's own folder; by default transformers names one by host and time."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(log_dir=str(folder)))
