"""The view of `movielora status`: one screen, at 80 or 120 columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from movielora.console.output import plain_table, stdout
from movielora.console.reporting import format_duration, format_rate
from movielora.machine.gpu import Gpu
from movielora.runs.status.hints import hints, next_step
from movielora.runs.status.history import Row
from movielora.runs.status.status import RunStatus

STATE_STYLES = {
    "starting": "cyan",
    "running": "green",
    "stopping": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "killed": "red",
    "stale": "red",
}
_BARS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 28
_BAR_WIDTH = 22
# The figures of an evaluation that fit side by side in 80 columns.
_SHOWN_METRICS = ("auc", "uauc", "f1", "accuracy", "log_loss", "answer_mass")
_CHECKPOINTS_SHOWN = 6
_ENDED_WITH_A_RECORD = ("finished", "stopped", "failed")


def show_status(status: RunStatus) -> None:
    stdout().print(status_page(status), crop=False)


def status_page(status: RunStatus) -> RenderableType:
    """Return the complete view; parts without content are left out."""
    facts = Table.grid(padding=(0, 2), expand=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(status):
        facts.add_row(label, value)
    parts: list[RenderableType] = [_title(status)]
    if status.reason:
        reason = after_title(status.reason, status.run, status.state)
        parts.append(Text(reason, style=STATE_STYLES.get(status.state, "")))
    parts += [Text(), facts]
    if status.history.evaluations:
        parts += [Text(), _evaluations(status)]
    if said := hints(status):
        parts += [Text(), *(Text.assemble(("! ", "bold yellow"), sentence) for sentence in said)]
    if command := next_step(status):
        parts += [Text(), Text(f"next  {command}", style="dim", no_wrap=True, overflow="ignore")]
    return Group(*parts)


def after_title(reason: str, run: str, state: str) -> str:
    """Return why a run ended, without the name and the state at its beginning, which the line above it says."""
    return reason.removeprefix(f"{run} {state} ")


def sparkline(values: Sequence[float], width: int = _SPARK_WIDTH) -> str:
    """Return values as a row of at most `width` bars, neighbours averaged; the lowest value is the lowest bar."""
    if not values:
        return ""
    buckets = min(width, len(values))
    bounds = [round(index * len(values) / buckets) for index in range(buckets + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = min(means), max(means)
    if buckets >= 10:  # the steep first steps would flatten the rest, so they are capped
        high = sorted(means)[int(0.9 * (buckets - 1))]
    if high == low:
        return _BARS[3] * buckets
    return "".join(_BARS[round(min(1.0, (mean - low) / (high - low)) * (len(_BARS) - 1))] for mean in means)


def describe_phase(status: RunStatus) -> str:
    """Return `training 1,234 of 14,676`, `tokenizing 42% at 1,562 examples/s`, `loading model`."""
    if status.phase == "training" and status.step is not None and status.max_steps:
        return f"training {status.step:,} of {status.max_steps:,}"
    if not status.phase_done or not status.phase_total:
        return status.phase
    said = f"{status.phase} {status.phase_done / status.phase_total:.0%}"
    if status.phase_seconds and status.alive:
        said += f" at {format_rate(status.phase_done / status.phase_seconds, status.phase_unit)}"
    return said


def format_bytes(count: int | None) -> str:
    if count is None:
        return "?"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _title(status: RunStatus) -> RenderableType:
    style = STATE_STYLES.get(status.state, "")
    phase = describe_phase(status) if status.alive else ""
    # Longer than the screen is wide it goes over the edge: a name is copied in one piece.
    line = Text.assemble((status.run, "bold"), "  ", (f"● {status.state}", style), no_wrap=True, overflow="ignore")
    return line.append(f"  {phase}") if phase else line


def _facts(status: RunStatus) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [("folder", escape(status.run_dir))]
    if status.step is not None and status.max_steps:
        rows.append(("progress", _progress(status)))
    if status.loss is not None:
        line = sparkline([row["loss"] for row in status.history.steps if "loss" in row])
        rate = f"  learning rate {status.learning_rate:.2g}" if status.learning_rate is not None else ""
        rows.append(("loss", Text.assemble(f"{status.loss:.4f}  ", (line, "cyan"), rate)))
    if status.examples_per_second is not None:
        rates = [format_rate(status.examples_per_second, "examples")]
        rates += [format_rate(status.tokens_per_second, "tokens")] if status.tokens_per_second is not None else []
        rates += [f"{status.flop_utilisation:.0%} of peak arithmetic"] if status.flop_utilisation else []
        rows.append(("speed", " · ".join(rates)))
    if status.elapsed_seconds is not None:
        rows.append(("time", _times(status)))
    if status.checkpoints:
        rows.append(("checkpoints", _checkpoints(status)))
    rows.append(("process", _process(status)))
    rows += [(f"GPU {gpu.index}", _gpu(gpu, status)) for gpu in status.gpus]
    if status.last_log_line and status.state not in _ENDED_WITH_A_RECORD:  # there its last line is the reason again
        rows.append(("log", Text(status.last_log_line, overflow="ellipsis", no_wrap=True)))
    return rows


def _progress(status: RunStatus) -> Text:
    step, total = status.step or 0, status.max_steps or 1
    epoch = f"  epoch {status.epoch:.2f}" if status.epoch is not None else ""
    if status.state == "finished" and step < total:  # stopped early: what was not needed is no part of the work
        return Text(f"step {step:,}, of {total:,} planned{epoch}")
    full = min(_BAR_WIDTH, round(_BAR_WIDTH * step / total))
    bar = ("█" * full, STATE_STYLES.get(status.state, "")), ("░" * (_BAR_WIDTH - full), "dim")
    return Text.assemble(*bar, f"  {step / total:.1%}  step {step:,} of {total:,}{epoch}")


def _times(status: RunStatus) -> str:
    parts = [f"{format_duration(status.elapsed_seconds or 0.0)} elapsed"]
    if status.eta_seconds is not None and status.state in ("running", "starting"):
        parts.append(f"{format_duration(status.eta_seconds)} left")
    if status.attempt > 1:
        parts.append(f"attempt {status.attempt}")
    return " · ".join(parts)


def _checkpoints(status: RunStatus) -> Text:
    shown = status.checkpoints[-_CHECKPOINTS_SHOWN:]
    line = Text(f"{len(status.checkpoints) - len(shown)} older  " if len(shown) < len(status.checkpoints) else "")
    for checkpoint in shown:
        line.append(f"{checkpoint.step:,}")
        if status.is_best(checkpoint):
            line.append(" ★ best", style="yellow")
        if not checkpoint.complete:
            line.append(" ✗ damaged", style="red")
        line.append("  ")
    return line


def _process(status: RunStatus) -> str:
    if status.plain_trainer:
        return "unknown: a plain HF Trainer keeps no record of it"
    pid = f"PID {status.pid}" if status.pid else "unknown PID"
    if not status.alive:
        return f"{pid}, ended"
    if status.usage is None:
        return f"{pid}, not visible from here (another container or machine)"
    use = status.usage
    children = f" · {use.children} children" if use.children else ""
    age = f" · {format_duration(status.elapsed_seconds)} old" if status.elapsed_seconds is not None else ""
    return f"{pid} · CPU {use.cpu_percent:.0f}% · {format_bytes(use.rss_bytes)}{children}{age}"


def _gpu(gpu: Gpu, status: RunStatus) -> str:
    own_bytes, peak_bytes = gpu.memory_of(status.live_pid), status.gpu_peak_bytes
    parts = [escape(gpu.name)]
    if gpu.utilization_percent is not None:
        parts.append(f"{gpu.utilization_percent:.0f}%")
    own = f"this run {format_bytes(own_bytes)}" if own_bytes else ""
    peak = f"torch's peak {format_bytes(peak_bytes)}" if peak_bytes else ""
    inside = ", ".join(part for part in (own, peak) if part)
    parts.append(
        f"{format_bytes(gpu.memory_used_bytes)} of {format_bytes(gpu.memory_total_bytes)}"
        + (f" ({inside})" if inside else "")
    )
    if gpu.temperature_celsius is not None:
        parts.append(f"{gpu.temperature_celsius:.0f} °C")
    return " · ".join(parts)


def _evaluations(status: RunStatus) -> Table:
    last = status.history.last_evaluation
    best = status.best
    best_row = next((row for row in status.history.evaluations if best and row.get("step") == best.step), None)
    names = [name for name in _SHOWN_METRICS if f"eval_{name}" in last] or _other_metrics(last)
    table = plain_table("evaluation", *(name.replace("_", " ") for name in names))
    table.add_row(f"last, step {int(last.get('step', 0)):,}", *_figures(last, names))
    if best and best_row:
        table.add_row(f"best, step {best.step:,} ★", *_figures(best_row, names))
    return table


def _other_metrics(row: Row) -> list[str]:
    """Return the names that a plain HF Trainer evaluated."""
    return [name.removeprefix("eval_") for name in row if name.startswith("eval_")][: len(_SHOWN_METRICS)]


def _figures(row: Row, names: Sequence[str]) -> list[str]:
    return [f"{row[f'eval_{name}']:.4f}" if f"eval_{name}" in row else "–" for name in names]
