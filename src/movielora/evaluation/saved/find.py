"""Which comparison a user means: its folder, or the run that it is of."""

from __future__ import annotations

import os
from pathlib import Path

from movielora.errors import ConfigError, DataError, shell_command
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.runs.lookup.find import call_name, find_run
from movielora.runs.paths import RunPaths


def find_comparison(target: str, command: str) -> Path:
    """The comparison folder `target`, or the only comparison in the run that `target` names or is the folder of.

    `command` is the one that asks (`report`), for the next step. A folder that holds neither is given as it is: whoever
    reads it says what is missing. Raises DataError if the run has no comparison, ConfigError if it has several, and as
    `find_run`.
    """
    folder = Path(target)
    if target.strip() and os.path.isdir(folder) and not _is_a_run(folder):  # noqa: PTH112 (Path's raises)
        return folder
    run = find_run(target).root
    found = comparisons_in(run)
    if len(found) > 1:
        ways = ", ".join(shell_command(path) for path in found)
        step = shell_command("movielora", command, found[0])
        raise ConfigError(f"{run} holds {len(found)} comparisons: {ways}", f"name one of them: {step}")
    if not found:
        step = shell_command("movielora", "compare", call_name(run, run.name))
        raise DataError(f"the run {run} holds no comparison yet", f"make one: {step}")
    return found[0]


def comparisons_in(run: Path) -> list[Path]:
    """The comparison folders inside a run folder, the finished ones; else those that were interrupted."""
    inside = [path for path in sorted(run.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    finished = [path for path in inside if ComparisonFolder(path).comparison.is_file()]
    return finished or [path for path in inside if ComparisonFolder(path).predictions.is_file()]


def _is_a_run(folder: Path) -> bool:
    """Whether it is a run or an adapter, and not a comparison of its own."""
    paths, comparison = RunPaths(folder), ComparisonFolder(folder)
    if comparison.comparison.is_file() or comparison.predictions.is_file():
        return False
    return paths.holds_a_run() or paths.adapter_config.is_file()
