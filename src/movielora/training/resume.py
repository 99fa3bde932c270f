"""Continuing a run that ended: from which checkpoint, how much remains, and whether it would still be the same run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from movielora.config import Config, ResolvedConfig
from movielora.config.on_resume import consequences
from movielora.errors import ConfigError, ModelError, NoLiveRunError, shell_command
from movielora.progress import Reporter
from movielora.runs.checkpoints import Checkpoint, inspect, newest_complete, read_trainer_state
from movielora.runs.lookup.find import call_name
from movielora.runs.lookup.run_config import folder_of_run, read_run_config
from movielora.runs.paths import RESUME_STATE_NAME, RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.scoring.kernels import recorded_placement
from movielora.storage import fields
from movielora.storage.atomic import read_json
from movielora.training.identity import differences
from movielora.training.loop.early_stopping import early_stop_reason

# Of resume_state.json. Schema 1 hashed the prompt of the first records, which prepared columns do not have.
_SCHEMA = 2


@dataclass(frozen=True)
class ResumeState:
    """What a checkpoint of ours adds to transformers' files, so that a resume is exact.

    `unlogged_loss` is the sum of the step losses since step `logged_step`, the last one that was logged: transformers
    forgets it, and the first loss logged after a resume would be the mean of fewer steps. `metric` is what the best
    evaluation was best by, which transformers does not write down either.
    """

    identity: dict[str, str]
    unlogged_loss: float
    logged_step: int
    steps_per_epoch: int
    metric: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"schema": _SCHEMA, **vars(self)}


@dataclass(frozen=True)
class ResumePlan:
    """Where training continues. `state` is None for a checkpoint that another program wrote; `placement` is what the
    run trained on until then, kernels included, and empty if its record does not say."""

    checkpoint: Path
    step: int
    total_steps: int
    epoch: float
    state: ResumeState | None
    placement: dict[str, Any] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        return max(0, self.total_steps - self.step)


def with_extra_epochs(resolved: ResolvedConfig, extra: float, checkpoint: Path | None) -> ResolvedConfig:
    """The config with `extra` epochs more; if it counts in steps, with the steps of as many epochs."""
    if not extra:
        return resolved
    config = resolved.values
    changed: dict[str, Any] = {"num_train_epochs": config.num_train_epochs + extra}
    if config.max_steps > 0:
        state = read_resume_state(checkpoint) if checkpoint else None
        if state is None:
            raise ConfigError(
                "--extra-epochs needs a checkpoint that says how many steps an epoch has",
                "give the new end in steps: --set max_steps=…",
            )
        changed = {"max_steps": config.max_steps + math.ceil(extra * state.steps_per_epoch)}
    return replace(resolved, values=config.model_copy(update=changed))


def choose_checkpoint(paths: RunPaths, explicit: Path | None, reporter: Reporter) -> Checkpoint | None:
    """The checkpoint named, or else the newest complete one; what is skipped is reported.

    Raises ModelError when the named one is damaged or no checkpoint.
    """
    if explicit is not None:
        step = fields.count(read_trainer_state(explicit).get("global_step"))
        found = inspect(explicit, step or 0) if explicit.is_dir() else None
        if found is None or step is None or not found.complete:
            why = "is not there" if found is None else found.problems[0] if found.problems else "names no step"
            raise ModelError(
                f"the checkpoint {explicit} cannot be resumed: {why}",
                "leave it out: --resume takes the newest complete one",
            )
        return found
    chosen, skipped = newest_complete(paths)
    for passed in skipped:
        why = passed.problems[0] if passed.problems else "it was not written by movielora"
        reporter.warn(f"checkpoint-{passed.step} is skipped: {why}")
    return chosen


def plan_resume(
    resolved: ResolvedConfig, paths: RunPaths, checkpoint: Checkpoint, identity: Mapping[str, str], reporter: Reporter
) -> ResumePlan:
    """Say where the run continues, before anything loads.

    Raises ConfigError when data, prompt, base or LoRA shape are not the run's, or when nothing remains.
    """
    record = read_record(RunPaths(checkpoint.path.parent))
    state = read_resume_state(checkpoint.path)
    _refuse_another_run(state, dict(identity), checkpoint)
    if state is not None and state.identity and "prompt" not in state.identity:
        reporter.warn(
            f"{checkpoint.path.name} is of an earlier movielora: whether its prompt is the same is not checked"
        )
    _say_changes(record, resolved.values, reporter)
    trainer = read_trainer_state(checkpoint.path)
    plan = ResumePlan(
        checkpoint=checkpoint.path,
        step=checkpoint.step,
        total_steps=_total_steps(resolved.values, state, trainer),
        epoch=fields.number(trainer.get("epoch")) or 0.0,
        state=state,
        placement=recorded_placement(record),
    )
    _refuse_finished(plan, record, paths, resolved.values, trainer)
    name = record.name if record and record.name else paths.root.name
    reporter.note(
        f"Resuming {name} from {plan.checkpoint.name}: step {plan.step:,} is done (epoch {plan.epoch:.2f}), "
        + (
            f"step {plan.step + 1:,} is next, {plan.remaining:,} of {plan.total_steps:,} remain"
            if plan.remaining
            else "all steps are done, the end remains"
        )
    )
    return plan


def read_resume_state(checkpoint: Path) -> ResumeState | None:
    """What our own checkpoints carry; None for those of a plain HF Trainer."""
    raw = read_json(checkpoint / RESUME_STATE_NAME)
    if raw is None:
        return None
    loss, step = fields.number(raw.get("unlogged_loss")), fields.count(raw.get("logged_step"))
    per_epoch = fields.count(raw.get("steps_per_epoch"))
    if loss is None or step is None or not per_epoch:
        return None
    identity = {key: value for key, value in fields.mapping(raw.get("identity")).items() if isinstance(value, str)}
    if raw.get("schema") != _SCHEMA:
        identity.pop("prompt", None)
    return ResumeState(identity, loss, step, per_epoch, fields.text(raw.get("metric"), 64))


def recorded_config(paths: RunPaths) -> ResolvedConfig:
    """The config of a run from its own folder, as if its first command were given again.

    Raises NoLiveRunError when the folder holds no run of movielora.
    """
    record = read_record(paths)
    if record is None or not paths.config.is_file():
        raise NoLiveRunError(
            f"{paths.root} has no record to resume from",
            "name the config instead: movielora train --config C --resume",
        )
    # Data beside the first config must be found again.
    origin = fields.text(record.raw.get("config_path"), 4096)
    return replace(read_run_config(paths), path=Path(origin) if origin else None)


def recorded_folder(paths: RunPaths) -> Path:
    """The working directory of the run's first command. Raises NoLiveRunError if it no longer exists."""
    record, folder = read_record(paths), folder_of_run(paths)
    if folder is None and record is not None and record.cwd:
        raise NoLiveRunError(
            f"{paths.root} was started in {record.cwd}, which no longer exists",
            "name the config instead: movielora train --config C --resume",
        )
    return folder or Path.cwd()


def _refuse_another_run(state: ResumeState | None, identity: dict[str, str], checkpoint: Checkpoint) -> None:
    changed = differences(state.identity, identity) if state else []
    if changed:
        raise ConfigError(
            f"{checkpoint.path} cannot be resumed: it would not be the same training",
            "restore what changed, or train from the start: --overwrite, or another output_dir",
            problems=tuple(changed),
        )


def _say_changes(record: RunRecord | None, config: Config, reporter: Reporter) -> None:
    """The kernels are compared elsewhere, once they are chosen: `auto` may mean others on another machine."""
    before = fields.mapping(record.raw.get("config")) if record else {}
    now = config.model_dump()
    for key, follows in consequences(Config).items():
        if key in before and before[key] != now[key]:
            reporter.warn(f"{key} was {before[key]} and is {now[key]}: {follows}")


def _total_steps(config: Config, state: ResumeState | None, trainer: dict[str, Any]) -> int:
    if config.max_steps > 0:
        return config.max_steps
    if state:
        return math.ceil(config.num_train_epochs * state.steps_per_epoch)
    return fields.count(trainer.get("max_steps")) or 0


def _refuse_finished(
    plan: ResumePlan, record: RunRecord | None, paths: RunPaths, config: Config, trainer: dict[str, Any]
) -> None:
    """A run that was killed after its last step still has its end to do; one that finished has nothing."""
    finished = record is not None and record.ended is not None and record.ended.state == "finished"
    if not finished or not paths.adapter_weights.exists():
        return
    name = call_name(paths.root, record.name if record else "")
    if plan.remaining == 0:
        raise ConfigError(
            f"nothing remains of {name}: all {plan.total_steps:,} steps are done",
            f"train longer with: {shell_command('movielora', 'resume', name, '--extra-epochs', '1')}",
        )
    logged = [row for row in trainer.get("log_history") or [] if isinstance(row, dict)]
    if reason := early_stop_reason(logged, config, plan.total_steps - plan.remaining, plan.total_steps):
        raise ConfigError(
            f"nothing remains of {name}: it {reason}",
            "give it more patience: movielora train --config … --resume --set early_stopping_patience=…",
        )
