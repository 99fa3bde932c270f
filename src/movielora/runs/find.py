"""Which folder a user means by a run's name, a path, or nothing at all."""

from __future__ import annotations

import os
from pathlib import Path

from movielora.errors import NoLiveRunError
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.runs.status.state import read_liveness

DEFAULT_ROOT = Path("output")
# `output/RUN` and `output/GROUP/RUN`.
_DEPTH = 2


def find_run(target: str | None, root: Path = DEFAULT_ROOT) -> RunPaths:
    """The run named `target` under `root`, or the folder `target`; without one, the live run or else the newest.

    A name is looked for under `root` only; what is written as a path may be anywhere.
    Raises NoLiveRunError (exit 3) when there is no such run.
    """
    if target is None:
        return _default_run(root)
    if _is_path(target):
        paths = RunPaths(Path(target))
        if not paths.root.is_dir():
            raise NoLiveRunError(f"there is no folder {target}", "list the runs with: movielora runs")
        return paths
    named = [paths for paths in list_runs(root) if target in _names(paths)]
    if named:
        return named[0]
    if is_run_folder(Path(target)):
        return RunPaths(Path(target))
    raise NoLiveRunError(f"there is no run {target!r} under {root}/", "list the runs with: movielora runs --all")


def list_runs(root: Path = DEFAULT_ROOT) -> list[RunPaths]:
    """Every run folder under `root`, the newest first; links that lead out of `root` are left out."""
    if not root.is_dir():
        return []
    found = _walk(root, root.resolve(), _DEPTH)
    return sorted(found, key=started_at, reverse=True)


def call_name(run_dir: Path | str, name: str, root: Path = DEFAULT_ROOT) -> str:
    """What a user types to mean this run: its name if that is found under `root`, else its folder."""
    inside = bool(name) and Path(run_dir).resolve().is_relative_to(root.resolve())
    return name if inside else str(run_dir)


def is_run_folder(folder: Path) -> bool:
    """Whether movielora or a plain HF Trainer has written here."""
    paths = RunPaths(folder)
    return folder.is_dir() and (paths.record.exists() or paths.trainer_state.exists() or bool(paths.checkpoints()))


def started_at(paths: RunPaths) -> float:
    """When the run began last, in unix seconds; the folder's own time if no record says."""
    record = read_record(paths)
    if record and record.started is not None:
        return record.started
    try:
        return paths.root.stat().st_mtime
    except OSError:
        return 0.0


def _default_run(root: Path) -> RunPaths:
    runs = list_runs(root)
    if not runs:
        raise NoLiveRunError(
            f"there is no run under {root}/", "start one with: movielora train --config configs/tiny_cpu.yaml --detach"
        )
    return next((paths for paths in runs if read_liveness(paths).alive), runs[0])


def _walk(folder: Path, root: Path, depth: int) -> list[RunPaths]:
    found: list[RunPaths] = []
    try:
        children = sorted(folder.iterdir())
    except OSError:  # another user's private folder
        return []
    for child in children:
        if not child.is_dir() or not child.resolve().is_relative_to(root):
            continue
        if is_run_folder(child):
            found.append(RunPaths(child))
        elif depth > 1 and not child.name.startswith("."):
            found += _walk(child, root, depth - 1)
    return found


def _is_path(target: str) -> bool:
    return os.sep in target or target in (".", "..", "")


def _names(paths: RunPaths) -> set[str]:
    record = read_record(paths)
    return {paths.root.name, *([record.name] if record and record.name else [])}
