"""May a run begin in this folder? Asked before anything is written there."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Literal

from movielora.errors import OutputError, shell_command
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.storage import lock, process
from movielora.storage.complete_folder import move_entries

StartMode = Literal["new", "resume", "overwrite"]

# torch's data-loader workers look every 5 s whether their parent lives; after that they are ended.
_ORPHANS_SECONDS = 6.0


def make_folder(paths: RunPaths) -> None:
    """Create the run folder, readable by this user only. Raises OutputError."""
    try:
        paths.root.parent.mkdir(parents=True, exist_ok=True)
        paths.root.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(
            f"output_dir {paths.root} is a file, not a folder", "choose another: --set output_dir=…"
        ) from error
    except OSError as error:
        raise OutputError(
            f"output_dir {paths.root} cannot be created: {error.strerror}", "choose another: --set output_dir=…"
        ) from error
    if not os.access(paths.root, os.W_OK | os.X_OK):
        raise OutputError(
            f"output_dir {paths.root} cannot be written: permission denied", "choose another: --set output_dir=…"
        )


def take_lock(paths: RunPaths) -> lock.FolderLock:
    """The folder's lock, for life. Left-over workers of a killed run are ended first.

    Raises OutputError when another run lives in the folder, or the lock cannot be made.
    """
    try:
        held = lock.FolderLock.acquire(paths.lock)
        if held is None and _end_orphans(paths):
            held = lock.FolderLock.acquire(paths.lock)
    except OSError as error:
        raise OutputError(f"output_dir {paths.root} cannot be locked: {error.strerror}") from error
    if held is None:
        raise live_run_error(paths)
    return held


def refuse_occupied(paths: RunPaths, mode: StartMode) -> None:
    """Raises OutputError when the folder holds results and `mode` is "new"."""
    if mode != "new":
        return
    holds = _what_it_holds(paths)
    if holds:
        raise OutputError(
            f"output_dir {paths.root} holds {holds}",
            "continue it with --resume, replace it with --overwrite, or choose another: --set output_dir=…",
        )


def refuse_live(paths: RunPaths) -> None:
    """Raises OutputError when a run lives in the folder; for a parent process that does not take the lock itself."""
    if lock.probe(paths.lock) == "held" and not _only_orphans(paths):
        raise live_run_error(paths)


def live_run_error(paths: RunPaths) -> OutputError:
    record = read_record(paths)
    who = f"run {record.name}" if record and record.name else "a run"
    owner = lock.owner(paths.lock)
    pid = f", PID {owner.pid}" if owner else ""
    see = shell_command("movielora", "status", paths.root)
    return OutputError(
        f"{who} is alive in {paths.root}{pid}",
        f"see it with: {see}; or choose another folder{lock.how_to_free(paths.lock)}",
    )


def set_aside(paths: RunPaths, *, keep_log: bool) -> None:
    """Move what an earlier run wrote, and nothing that is not a run's, to where it waits for `forget` or `bring_back`.

    So an overwriting that is refused (bad data, a wrong option) costs nothing. Raises OutputError.
    """
    kept = {paths.log} if keep_log else set()
    found = [path for path in _written_by_a_run(paths) if path not in kept]
    try:
        move_entries(found, paths.root, paths.replaced)
    except OSError as error:
        raise OutputError(f"{error.filename or paths.root} cannot be moved: {error.strerror}") from error


def bring_back(paths: RunPaths) -> None:
    """Put an earlier run that waits back in its place, and remove what the attempt over it wrote. Raises OSError."""
    if not paths.replaced.is_dir():
        return
    remove_written(paths)
    move_entries(_written_by_a_run(RunPaths(paths.replaced)), paths.replaced, paths.root)
    forget(paths)


def forget(paths: RunPaths) -> None:
    """The new run trains: remove the one it replaces. Raises OSError."""
    if paths.replaced.is_dir():
        shutil.rmtree(paths.replaced)


def remove_written(paths: RunPaths) -> None:
    """Delete what a run wrote into its folder, and nothing else. Raises OSError."""
    for path in _written_by_a_run(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _written_by_a_run(paths: RunPaths) -> list[Path]:
    files = [path for path in paths.known_files() if path.is_file() or path.is_symlink()]
    folders = [folder for _, folder in paths.checkpoints()]
    in_place = paths.tensorboard.is_dir() and not paths.tensorboard.is_symlink()
    return [*files, *folders, *(paths.tensorboard.glob("events.out.tfevents.*") if in_place else ())]


def _what_it_holds(paths: RunPaths) -> str:
    """What would be lost, in words; "" if nothing would."""
    record = read_record(paths)
    if record and record.ended and record.ended.state == "finished":
        return f"the finished run {record.name}"
    steps = [step for step, _ in paths.checkpoints()]
    if steps:
        return f"a run with checkpoints up to step {max(steps):,}"
    return "a trained adapter" if paths.adapter_weights.exists() else ""


def _only_orphans(paths: RunPaths) -> bool:
    owner = lock.owner(paths.lock)
    return owner is not None and not process.is_alive(owner) and bool(lock.holders(paths.lock))


def _end_orphans(paths: RunPaths) -> bool:
    """End the workers of a run whose main process is dead; they hold its lock, so they are its own."""
    if not _only_orphans(paths):
        return False
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while lock.holders(paths.lock) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not process.kill_all(lock.holders(paths.lock))
