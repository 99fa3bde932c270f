"""Which folder a user means by a run's name, a path, or nothing at all.

A name is looked for under `output/` here and as a folder here; only if it is not here, in the list of this user's runs
(`index.py`). Two runs of the name are an error that names both: movielora does not choose. What a command may do with
a run decides how much has to be certain:

- to read (`status`, `logs`, `compare` …), the one run of the name that is here is meant, whatever is elsewhere;
- to stop, a live run of the same name elsewhere counts too: the wrong one would lose its work since its checkpoint;
- without a name, the live run here or else the newest is read; one is stopped only if no other lives, and a run
  elsewhere is resumed only if there is no other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from movielora.errors import ConfigError, MovieloraError, NoLiveRunError, shell_command
from movielora.runs.lookup.index import index_folder, remembered
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.runs.status.state import read_liveness

DEFAULT_ROOT = Path("output")
# `output/RUN` and `output/GROUP/RUN`.
_DEPTH = 2
_SHOWN = 5
_LONGEST_SHOWN = 200


def find_run(target: str | None, root: Path = DEFAULT_ROOT) -> RunPaths:
    """The run named `target`, or the folder `target`; without one, the live run or else the newest.

    Raises NoLiveRunError (exit 3) when there is no such run, ConfigError (exit 2) when several have the name.
    """
    if target is None:
        return _default_run(_here_or_elsewhere(root))
    if _is_path(target):
        return _folder(target)
    here = _named_here(target, root)
    return _only(here or _named(target, runs_elsewhere(root)), target, root)


def run_to_stop(target: str | None, root: Path = DEFAULT_ROOT) -> RunPaths:
    """As `find_run`, but a live run elsewhere counts too; without a name, the only run that lives.

    Raises as `find_run`, and ConfigError when no name is given and several live.
    """
    if target is None:
        runs = _here_or_elsewhere(root)
        living = [paths for paths in runs if read_liveness(paths).alive]
        if len(living) > 1:
            raise _several(f"{len(living)} runs are alive", living)
        return living[0] if living else runs[0]
    if _is_path(target):
        return _folder(target)
    here, elsewhere = _named_here(target, root), _named(target, runs_elsewhere(root))
    rivals = [paths for paths in elsewhere if not here or read_liveness(paths).alive]
    return _only(_distinct([*here, *rivals]), target, root)


def run_to_resume(target: str | None, root: Path = DEFAULT_ROOT) -> RunPaths:
    """As `find_run`; without a name, the run here, or the only one elsewhere. Raises as `find_run`."""
    runs = _here_or_elsewhere(root) if target is None else []
    if len(runs) > 1 and not list_runs(root):
        raise _several(f"there is no run under {_seen(root)}, and {len(runs)} elsewhere", runs)
    return find_run(target, root)


def list_runs(root: Path = DEFAULT_ROOT) -> list[RunPaths]:
    """Every run folder under `root`, the newest first; links that lead out of `root` are left out."""
    if not root.is_dir():
        return []
    found = _walk(root, root.resolve(), _DEPTH)
    return sorted(found, key=started_at, reverse=True)


def runs_elsewhere(root: Path = DEFAULT_ROOT) -> list[RunPaths]:
    """The runs that the index knows and `list_runs` does not, the newest first."""
    known = remembered()
    here = {paths.root.resolve() for paths in list_runs(root)} if known else set()
    return sorted((paths for paths in known if paths.root not in here), key=started_at, reverse=True)


def call_name(run_dir: Path | str, name: str, root: Path = DEFAULT_ROOT) -> str:
    """What a user types here to mean this run: its name if that means no other run under `root`, else its folder."""
    if not name or not Path(run_dir).resolve().is_relative_to(root.resolve()):
        return str(run_dir)
    return name if len(_named_here(name, root)) <= 1 else str(run_dir)


def started_at(paths: RunPaths) -> float:
    """When the run began last, in unix seconds; the folder's own time if no record says."""
    record = read_record(paths)
    if record and record.started is not None:
        return record.started
    try:
        return paths.root.stat().st_mtime
    except OSError:
        return 0.0


def _here_or_elsewhere(root: Path) -> list[RunPaths]:
    """The runs that a command without a name may mean, the newest first. Raises NoLiveRunError if there is none."""
    runs = list_runs(root) or runs_elsewhere(root)
    if not runs:
        from movielora.config.ready_made import ready_made_config  # the room of config loads pydantic's models

        start = shell_command("movielora", "train", "--config", ready_made_config("tiny_cpu.yaml"), "--detach")
        raise NoLiveRunError(
            f"there is no run under {_seen(root)}, and none in the list of your runs ({index_folder()})",
            f"start one with: {start}",
        )
    return runs


def _default_run(runs: Sequence[RunPaths]) -> RunPaths:
    return next((paths for paths in runs if read_liveness(paths).alive), runs[0])


def _folder(target: str) -> RunPaths:
    if not target.strip():
        raise ConfigError("the name of the run is empty", "list the runs with: movielora runs")
    if not os.path.isdir(target):  # noqa: PTH112 (Path's raises if a name is too long)
        raise NoLiveRunError(f"there is no folder {_short(target)}", "list the runs with: movielora runs --all")
    return RunPaths(Path(target))


def _only(found: Sequence[RunPaths], target: str, root: Path) -> RunPaths:
    if len(found) > 1:
        raise _several(f"{len(found)} runs are named {_short(target)!r}", found)
    if not found:
        raise _none(target, root)
    return found[0]


def _several(said: str, found: Sequence[RunPaths]) -> MovieloraError:
    folders = [shell_command(paths.root) for paths in found]
    more = [f"and {len(folders) - _SHOWN} more"] if len(folders) > _SHOWN else []
    return ConfigError(f"{said}: {', '.join([*folders[:_SHOWN], *more])}", f"name its folder instead: {folders[0]}")


def _none(target: str, root: Path) -> MovieloraError:
    count = len(runs_elsewhere(root))
    elsewhere = f"the {count} {'run' if count == 1 else 'runs'} elsewhere"
    return NoLiveRunError(
        f"there is no run {_short(target)!r} under {_seen(root)}, in this folder, or among {elsewhere} that "
        f"{index_folder()} lists",
        "list the runs with: movielora runs --all",
    )


def _named_here(target: str, root: Path) -> list[RunPaths]:
    """The runs of that name under `root`, and a folder of that name here that holds a run or an adapter."""
    found = _named(target, list_runs(root))
    beside = RunPaths(Path(target))
    if beside.holds_a_run() or _is_file(beside.adapter_config):
        found.append(beside)
    return _distinct(found)


def _distinct(found: Sequence[RunPaths]) -> list[RunPaths]:
    """Each folder once, as it is named first: a link under `root` leads to a run that is listed too."""
    first: dict[Path, RunPaths] = {}
    for paths in found:
        first.setdefault(paths.root.resolve(), paths)
    return list(first.values())


def _named(target: str, runs: Sequence[RunPaths]) -> list[RunPaths]:
    return [paths for paths in runs if target in _names(paths)]


def _walk(folder: Path, root: Path, depth: int) -> list[RunPaths]:
    found: list[RunPaths] = []
    try:
        children = sorted(folder.iterdir())
    except OSError:  # another user's private folder
        return []
    for child in children:
        if not child.is_dir() or not child.resolve().is_relative_to(root):
            continue
        if RunPaths(child).holds_a_run():
            found.append(RunPaths(child))
        elif depth > 1 and not child.name.startswith("."):
            found += _walk(child, root, depth - 1)
    return found


def _is_path(target: str) -> bool:
    return os.sep in target or target in (".", "..") or not target.strip()


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path's raises if a name is too long)


def _names(paths: RunPaths) -> set[str]:
    record = read_record(paths)
    return {paths.root.name, *([record.name] if record and record.name else [])}


def _short(target: str) -> str:
    return target if len(target) <= _LONGEST_SHOWN else f"{target[:_LONGEST_SHOWN]}…"


def _seen(root: Path) -> str:
    """The folder in full: a relative one does not say where it was looked for."""
    return f"{root.resolve()}{os.sep}"
