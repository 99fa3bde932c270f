"""The view of a run's log as lines, and of its metrics as a growing table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from movielora.console.output import stdout
from movielora.errors import NoLiveRunError, shell_command
from movielora.runs.log_file import follow, last_lines
from movielora.runs.paths import RunPaths
from movielora.runs.status.history import Row
from movielora.runs.status.state import read_record_and_liveness
from movielora.storage import fields

# (heading, key in metrics.jsonl, width, format)
_COLUMNS = (
    ("step", "step", 9, ",.0f"),
    ("epoch", "epoch", 7, ".2f"),
    ("loss", "loss", 8, ".4f"),
    ("rate", "learning_rate", 9, ".2e"),
    ("eval loss", "eval_loss", 10, ".4f"),
    ("auc", "eval_auc", 7, ".4f"),
    ("uauc", "eval_uauc", 7, ".4f"),
    ("f1", "eval_f1", 7, ".4f"),
    ("accuracy", "eval_accuracy", 9, ".4f"),
)


def show_log(paths: RunPaths, count: int) -> None:
    _need_log(paths)
    _print_lines(stdout(), last_lines(paths.log, count))


def follow_log(paths: RunPaths, count: int) -> None:
    """Print the log until the run ends; a run that has ended is shown once."""
    _need_log(paths)
    _print_lines(stdout(), follow(paths.log, lambda: _has_ended(paths), count=count))


def show_metrics(paths: RunPaths, count: int) -> None:
    _need_metrics(paths)
    _print_lines(stdout(), [_heading(), *_table(last_lines(paths.metrics, count))])


def follow_metrics(paths: RunPaths, count: int) -> None:
    console = stdout()
    _print_lines(console, [_heading()])
    _print_lines(console, _table(follow(paths.metrics, lambda: _has_ended(paths), count=count)))


def log_json(paths: RunPaths, count: int) -> dict[str, Any]:
    """Return `{"run_dir", "log", "lines"}`."""
    _need_log(paths)
    return {"run_dir": str(paths.root), "log": str(paths.log), "lines": last_lines(paths.log, count)}


def metrics_json(paths: RunPaths, count: int) -> dict[str, Any]:
    """Return `{"run_dir", "metrics", "rows"}`."""
    _need_metrics(paths)
    rows = [row for row in map(_row, last_lines(paths.metrics, count)) if row]
    return {"run_dir": str(paths.root), "metrics": str(paths.metrics), "rows": rows}


def _heading() -> str:
    return "".join(f"{heading:>{width}}" for heading, _, width, _ in _COLUMNS)


def _table(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if row := _row(line):
            cells = (f"{row[key]:>{width}{form}}" if key in row else " " * width for _, key, width, form in _COLUMNS)
            yield "".join(cells).rstrip()


def _row(line: str) -> Row:
    """Return the figures of a line that holds a step or an evaluation; {} for any other line."""
    try:
        row = fields.figures(fields.mapping(json.loads(line)))
    except (ValueError, RecursionError):
        return {}
    return row if "loss" in row or any(name.startswith("eval_") for name in row) else {}


def _has_ended(paths: RunPaths) -> bool:
    return not read_record_and_liveness(paths)[1].alive


def _need_log(paths: RunPaths) -> None:
    if not paths.log.is_file():
        raise NoLiveRunError(
            f"{paths.root} has no {paths.log.name}: an earlier movielora wrote none for a run in a terminal",
            f"its steps: {shell_command('movielora', 'logs', paths.root, '--metrics')}",
        )


def _need_metrics(paths: RunPaths) -> None:
    if not paths.metrics.is_file():
        raise NoLiveRunError(f"{paths.root} has logged no step yet", f"movielora status {paths.root}")


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines unchanged: a log has no markup, and long lines are left to the terminal."""
    for line in lines:
        console.out(line, highlight=False)
