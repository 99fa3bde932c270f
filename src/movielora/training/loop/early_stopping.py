"""When to evaluate, what is best, and when more training would not help: read from the log, which checkpoints keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from movielora.config import Config
from movielora.config.named_values import METRIC_DIRECTIONS
from movielora.training.loop.evaluation_line import three_decimals

# A row as the trainer logs it: `loss` or `eval_…`, and `step`.
LogRow = dict[str, Any]


def early_stop_reason(log_history: Sequence[LogRow], config: Config, step: int, max_steps: int) -> str:
    """Why a training with this log is over after `step`, in one sentence without a stop; "" if it is not.

    `stopped early at step 30 of 40: auc has not improved in 5 evaluations; best .684 at step 10`.
    """
    why = _what_has_not_improved(log_history, config) if step < max_steps else ""
    if not why:
        return ""
    best = best_kept_evaluation(log_history, config.best_metric, lambda step: True)
    found = f"; best {three_decimals(best[1])} at step {best[0]:,}" if best else ""
    return f"stopped early at step {step:,} of {max_steps:,}: {why}{found}"


def _what_has_not_improved(log_history: Sequence[LogRow], config: Config) -> str:
    patience, plateau = config.early_stopping_patience, config.loss_plateau_patience
    if patience is not None and evaluations_without_gain(log_history, config.best_metric) >= patience:
        return f"{config.best_metric} has not improved in {patience} evaluation{'s' if patience > 1 else ''}"
    if plateau is None:
        return ""
    losses = [row["loss"] for row in log_history if "loss" in row]
    if logs_without_gain(losses, config.loss_plateau_min_delta) >= plateau:
        return f"the training loss has not fallen in {plateau} log{'s' if plateau > 1 else ''}"
    return ""


def evaluation_is_due(
    log_history: Sequence[LogRow], config: Config, step: int, max_steps: int, steps_per_epoch: int
) -> bool:
    """Whether the step of a checkpoint should have been evaluated and was not, because a stop came first."""
    every = {"steps": config.eval_steps, "epoch": steps_per_epoch}.get(config.eval_strategy)
    if every is None or (step % every and step < max_steps):
        return False
    return not any("eval_loss" in row and row.get("step") == step for row in log_history)


def is_better(value: float, best: float | None, metric: str) -> bool:
    """Whether `value` beats `best`; NaN never does, and anything else beats none."""
    if math.isnan(value):
        return False
    if best is None or math.isinf(best):
        return True
    return value > best if METRIC_DIRECTIONS[metric] else value < best


def best_kept_evaluation(
    log_history: Sequence[LogRow], metric: str, is_kept: Callable[[int], bool]
) -> tuple[int, float] | None:
    """Step and value of the best evaluation by `metric` whose checkpoint is kept; the first of equals."""
    best: tuple[int, float] | None = None
    for row in log_history:
        value = row.get(f"eval_{metric}")
        if value is not None and is_better(value, best[1] if best else None, metric) and is_kept(row["step"]):
            best = row["step"], value
    return best


def evaluations_without_gain(log_history: Sequence[LogRow], metric: str) -> int:
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


def logs_without_gain(losses: Sequence[float], min_delta: float) -> int:
    """Logs since the loss last fell by more than `min_delta` below its lowest."""
    lowest, since = math.inf, 0
    for loss in losses:
        if loss < lowest - min_delta:
            lowest, since = loss, 0
        else:
            since += 1
    return since
