"""Everything there is to know about a run, read from outside, without torch and without trusting what is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeVar

from movielora.machine.gpu import Gpu, read_gpus
from movielora.runs.checkpoints import Best, Checkpoint, best_from, list_checkpoints, read_trainer_state
from movielora.runs.log_file import last_line
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord
from movielora.runs.status.heartbeat import Heartbeat, read_heartbeat
from movielora.runs.status.history import RunHistory, best_evaluation, history_from_state, read_metrics
from movielora.runs.status.state import Liveness, RunState, derive, read_record_and_liveness
from movielora.storage import fields, process

# A plain HF Trainer leaves no record; a folder whose files changed this lately is taken for a running one.
_HF_RUNNING_SECONDS = 600.0

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class RunStatus:
    """One run at one moment. Times in seconds, memory in bytes, rates per second, shares 0-1; None = unknown."""

    run: str
    run_dir: str
    state: str
    reason: str
    phase: str
    phase_done: int | None
    phase_total: int | None
    phase_unit: str
    phase_seconds: float | None
    step: int | None
    max_steps: int | None
    epoch: float | None
    loss: float | None
    learning_rate: float | None
    examples_per_second: float | None
    tokens_per_second: float | None
    flop_utilisation: float | None
    elapsed_seconds: float | None
    eta_seconds: float | None
    alive: bool
    pid: int | None
    started: float | None
    usage: process.Usage | None
    orphans: tuple[int, ...]
    gpus: list[Gpu]
    gpu_peak_bytes: int | None
    checkpoints: list[Checkpoint]
    best: Best | None
    history: RunHistory
    last_log_line: str
    heartbeat_age_seconds: float | None
    attempt: int
    detached: bool
    plain_trainer: bool

    def to_json(self) -> dict[str, Any]:
        """The object that `movielora status --json` prints."""
        named = (
            "run", "run_dir", "state", "reason", "phase", "step", "max_steps", "epoch", "loss", "learning_rate",
            "examples_per_second", "tokens_per_second", "flop_utilisation",
            "elapsed_seconds", "eta_seconds",
        )  # fmt: skip
        return {name: getattr(self, name) for name in named} | {
            "process": {
                "pid": self.pid,
                "alive": self.alive,
                "cpu_percent": round(self.usage.cpu_percent, 1) if self.usage else None,
                "rss_bytes": self.usage.rss_bytes if self.usage else None,
                "started": self.started,
            },
            "gpu": [gpu.to_json(self.live_pid) for gpu in self.gpus],
            "checkpoints": [self._checkpoint_json(checkpoint) for checkpoint in self.checkpoints],
            "metrics": dict(self.history.last_evaluation),
            "best": {"metric": self.best.metric, "value": self.best.value, "step": self.best.step}
            if self.best
            else None,
        }

    @property
    def live_pid(self) -> int | None:
        return self.pid if self.alive else None

    def is_best(self, checkpoint: Checkpoint) -> bool:
        return self.best is not None and checkpoint.step == self.best.step

    def _checkpoint_json(self, checkpoint: Checkpoint) -> dict[str, Any]:
        return {
            "step": checkpoint.step,
            "path": str(checkpoint.path),
            "complete": checkpoint.complete,
            "best": self.is_best(checkpoint),
        }


@dataclass(frozen=True)
class _Evidence:
    """What was found in the folder and among the processes."""

    paths: RunPaths
    record: RunRecord | None
    liveness: Liveness
    heartbeat: Heartbeat
    checkpoints: list[Checkpoint]
    trainer_state: dict[str, Any]
    history: RunHistory

    @property
    def plain_trainer(self) -> bool:
        return self.record is None and not self.liveness.alive and not self.paths.replaced.is_dir()


def read_status(paths: RunPaths, *, measure: bool = True) -> RunStatus:
    """Look at the run in `paths`. `measure` samples its process and the GPUs too (0.1 s); lists do without."""
    record, liveness = read_record_and_liveness(paths)
    heartbeat = read_heartbeat(paths) if record else None
    if heartbeat and record and heartbeat.text("run_id") != record.run_id:
        heartbeat = None  # left by an earlier run of this folder
    checkpoints = list_checkpoints(paths)
    trainer_state = _newest_trainer_state(paths, checkpoints)
    history = read_metrics(paths.metrics)
    if not history.steps and not history.evaluations:
        history = history_from_state(trainer_state)
    found = _Evidence(paths, record, liveness, heartbeat or Heartbeat({}, 0.0), checkpoints, trainer_state, history)
    state = _plain_trainer_state(found) if found.plain_trainer else derive(paths, record, heartbeat, liveness)
    return _assemble(found, state, measure=measure)


def _assemble(found: _Evidence, state: RunState, *, measure: bool) -> RunStatus:
    record, beat, trainer = found.record, found.heartbeat, found.trainer_state
    visible = found.liveness.identity if found.liveness.alive else None
    recorded = visible or (record.identity if record else None)
    last = found.history.steps[-1] if found.history.steps else {}
    return RunStatus(
        run=(record.name if record else "") or found.paths.root.resolve().name,
        run_dir=str(found.paths.root),
        state=state.name,
        reason=state.reason,
        phase=beat.text("phase"),
        phase_done=beat.count("phase_done"),
        phase_total=beat.count("phase_total"),
        phase_unit=beat.text("phase_unit"),
        phase_seconds=beat.number("phase_seconds"),
        step=_first(beat.count("step"), fields.count(trainer.get("global_step"))),
        max_steps=_first(beat.count("max_steps"), fields.count(trainer.get("max_steps"))),
        epoch=_first(beat.number("epoch"), fields.number(trainer.get("epoch"))),
        loss=_first(beat.number("loss"), last.get("loss")),
        learning_rate=_first(beat.number("learning_rate"), last.get("learning_rate")),
        examples_per_second=beat.number("examples_per_second"),
        tokens_per_second=beat.number("tokens_per_second"),
        flop_utilisation=beat.number("flop_utilisation"),
        elapsed_seconds=_elapsed(found),
        eta_seconds=_eta(found),
        alive=found.liveness.alive,
        pid=recorded.pid if recorded else None,
        started=record.started if record else None,
        usage=process.usage(visible) if measure and visible else None,
        orphans=found.liveness.orphans,
        gpus=read_gpus() if measure else [],
        gpu_peak_bytes=beat.count("gpu_peak_bytes"),
        checkpoints=found.checkpoints,
        best=_best(found),
        history=found.history,
        last_log_line=last_line(found.paths.log),
        heartbeat_age_seconds=beat.age_seconds if beat.values else None,
        attempt=record.attempt if record else 1,
        detached=record.detached if record else False,
        plain_trainer=found.plain_trainer,
    )


def _plain_trainer_state(found: _Evidence) -> RunState:
    """A folder of a plain HF Trainer: only its files say anything."""
    step = fields.count(found.trainer_state.get("global_step"))
    last = fields.count(found.trainer_state.get("max_steps"))
    if step is not None and last and step >= last:
        return RunState("finished", "a plain HF Trainer's folder; its last step is saved")
    age = _seconds_since_change(found.paths)
    if age is not None and age < _HF_RUNNING_SECONDS:
        return RunState("running", f"a plain HF Trainer leaves no record; its files changed {age:,.0f} s ago")
    return RunState("interrupted", "a plain HF Trainer leaves no record; its files have not changed lately")


def _seconds_since_change(paths: RunPaths) -> float | None:
    watched = [paths.root, *(path for _, path in paths.checkpoints()), *paths.root.glob("*/events.out.tfevents.*")]
    changed = []
    for path in watched:
        try:
            changed.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(0.0, time.time() - max(changed)) if changed else None


def _newest_trainer_state(paths: RunPaths, checkpoints: list[Checkpoint]) -> dict[str, Any]:
    """The state with the most steps: the folder's own (plain HF, at the end), or that of the newest checkpoint."""
    states = [read_trainer_state(paths.root)]
    states += [state for checkpoint in reversed(checkpoints) if (state := read_trainer_state(checkpoint.path))][:1]
    return max(states, key=lambda state: fields.count(state.get("global_step")) or -1)


def _best(found: _Evidence) -> Best | None:
    """By the config's metric over every evaluation so far; else what the newest checkpoint's trainer recorded."""
    config = fields.mapping(found.record.raw.get("config")) if found.record else {}
    named = fields.text(config.get("metric_for_best_model"), 60)
    metric = named if not named or named.startswith("eval_") else f"eval_{named}"
    best = best_evaluation(found.history, metric) if metric else None
    return Best(metric, *best) if best else best_from(found.trainer_state, metric)


def _elapsed(found: _Evidence) -> float | None:
    """Of this attempt, by the monotonic clock."""
    ended = found.record.ended if found.record else None
    if not found.liveness.alive and ended:
        return ended.elapsed_seconds
    reported = found.heartbeat.number("elapsed_seconds")
    return reported + found.heartbeat.age_seconds if reported is not None and found.liveness.alive else reported


def _eta(found: _Evidence) -> float | None:
    reported = found.heartbeat.number("eta_seconds")
    return max(0.0, reported - found.heartbeat.age_seconds) if reported is not None and found.liveness.alive else None


def _first(*values: _Value | None) -> _Value | None:
    return next((value for value in values if value is not None), None)
