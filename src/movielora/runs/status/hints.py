"""What the user can do about a run, shown only if there is something to do."""

from __future__ import annotations

from movielora.runs.lookup.find import call_name
from movielora.runs.status.status import RunStatus

_RESUMABLE = ("stopped", "failed", "killed", "interrupted")


def hints(status: RunStatus) -> list[str]:
    """Whole sentences, each with its command; none for a run that is well."""
    said = [_about_state(status), _about_loss(status), _about_checkpoints(status), _about_orphans(status)]
    return [sentence for sentence in said if sentence]


def _about_state(status: RunStatus) -> str:
    if status.state == "stale":
        return (
            f"look at its output: movielora logs {_named(status)}; or end it: movielora stop {_named(status)} --force"
        )
    if status.plain_trainer or status.state not in _RESUMABLE:
        return ""
    if "out of memory?" in status.reason:
        return (
            "lower per_device_train_batch_size or cutoff_len, raise gradient_accumulation_steps, then: "
            f"movielora resume {_named(status)}"
        )
    see = f"movielora logs {_named(status)}; " if status.state == "failed" and status.last_log_line else ""
    if any(checkpoint.complete and checkpoint.ours for checkpoint in status.checkpoints):
        return f"{see}continue with: movielora resume {_named(status)}"
    return f"{see}no checkpoint was saved: movielora resume {_named(status)} starts from the first step"


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
    return f"{len(status.orphans)} worker processes are left over; end them: movielora stop {_named(status)}"


def _named(status: RunStatus) -> str:
    return call_name(status.run_dir, status.run)
