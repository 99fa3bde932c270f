"""What the user can do about a run, shown only if there is something to do."""

from __future__ import annotations

from pathlib import Path

from movielora.errors import shell_command
from movielora.runs.folder.replaced import waits
from movielora.runs.lookup.find import call_name
from movielora.runs.paths import RunPaths
from movielora.runs.status.status import RunStatus

_RESUMABLE = ("stopped", "failed", "killed", "interrupted")


def hints(status: RunStatus) -> list[str]:
    """Whole sentences, each with its command; none for a run that is well."""
    said = [_about_state(status), _about_loss(status), _about_checkpoints(status), _about_orphans(status)]
    return [sentence for sentence in said if sentence]


def next_step(status: RunStatus) -> str:
    """The command that comes after a finished run; "" for others, and if its adapter is gone."""
    finished = status.state == "finished" and not status.plain_trainer
    has_adapter = RunPaths(Path(status.run_dir)).adapter_weights.is_file()
    return _command("compare", status) if finished and has_adapter else ""


def _about_state(status: RunStatus) -> str:
    paths = RunPaths(Path(status.run_dir))
    if not status.alive and waits(paths):
        return f"the run that was to be replaced waits in {paths.replaced}: {_command('resume', status)} brings it back"
    if status.state == "stale":
        return f"look at its output: {_command('logs', status)}; or end it: {_command('stop', status)} --force"
    if status.plain_trainer or status.state not in _RESUMABLE:
        return ""
    if "out of memory?" in status.reason:
        return (
            "lower per_device_train_batch_size or cutoff_len, raise gradient_accumulation_steps, then: "
            f"{_command('resume', status)}"
        )
    see = f"{_command('logs', status)}; " if status.state == "failed" and status.last_log_line else ""
    if any(checkpoint.complete and checkpoint.ours for checkpoint in status.checkpoints):
        return f"{see}continue with: {_command('resume', status)}"
    return f"{see}no checkpoint was saved: {_command('resume', status)} starts from the first step"


def _about_loss(status: RunStatus) -> str:
    if status.history.lost_at is None:
        return ""
    return f"the loss at step {status.history.lost_at:,} is no number; lower learning_rate"


def _about_checkpoints(status: RunStatus) -> str:
    damaged = [checkpoint for checkpoint in status.checkpoints if not checkpoint.complete]
    if not damaged:
        return ""
    newest = max((c.step for c in status.checkpoints if c.complete and c.ours), default=None)
    instead = f"resume takes checkpoint-{newest}" if newest is not None else "none is left to resume from"
    return f"checkpoint-{damaged[-1].step} is damaged ({damaged[-1].problems[0]}); {instead}"


def _about_orphans(status: RunStatus) -> str:
    if not status.orphans:
        return ""
    return f"{len(status.orphans)} worker processes are left over; end them: {_command('stop', status)}"


def _command(name: str, status: RunStatus) -> str:
    return shell_command("movielora", name, call_name(status.run_dir, status.run))
