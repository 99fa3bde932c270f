"""May a run begin in this folder? Asked before anything is written there."""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from typing import Literal

from movielora.errors import OutputError, shell_command
from movielora.progress import Reporter
from movielora.runs.folder import replaced
from movielora.runs.folder.written import WrittenByRun, names
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.storage import lock, process
from movielora.storage.atomic import read_json

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


def refuse_start(paths: RunPaths, mode: StartMode) -> None:
    """Raises the OutputError that a start in this folder would end with; writes nothing and makes no folder."""
    there = next(path for path in (paths.root, *paths.root.parents) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "cannot be written: permission denied" if there.is_dir() else "is a file, not a folder"
        raise OutputError(f"output_dir {paths.root}: {there} {why}", "choose another: --set output_dir=…")
    refuse_live(paths)
    if not replaced.waits(paths):  # else it comes back first
        refuse_foreign(paths, mode)
    _refuse_results(paths, mode)


def refuse_foreign(paths: RunPaths, mode: StartMode) -> None:
    """Raises OutputError naming what is in the folder, or in the way there, and no run of movielora has written.

    A resumed run may have an edited config.yaml, which `keep_edited_config` puts aside, and steps past checkpoints of
    others, whose places it never takes.
    """
    written = WrittenByRun(paths)
    foreign = written.foreign(checkpoints=mode != "resume")
    if mode == "resume" and written.has_record:
        foreign = [name for name in foreign if name != paths.config.name]
    if _is_foreign_lock(paths.lock):
        foreign.append(paths.lock.name)
    if foreign:
        refuse_live(paths)  # another run has just taken the folder, and these are its files
        raise OutputError(
            f"output_dir {paths.root} holds what no run of movielora wrote there, or what was changed since: "
            f"{names(foreign)}",
            "choose another folder with --set output_dir=…, or move these files elsewhere",
        )


def keep_edited_config(paths: RunPaths, config_yaml: str) -> str:
    """Rename a config.yaml that was edited after the run wrote it, before the resumed run writes its own.

    Returns its new name; "" if there is none, or it is `config_yaml` already. Raises OSError.
    """
    if not paths.config.is_file() or WrittenByRun(paths).proves(paths.config):
        return ""
    if paths.config.read_text(encoding="utf-8", errors="replace") == config_yaml:
        paths.config.unlink()
        return ""
    places = (paths.root / f"config.edited-{number}.yaml" for number in count(1))
    place = next(place for place in places if not place.exists())
    paths.config.rename(place)
    return place.name


def take_lock(paths: RunPaths) -> lock.FolderLock:
    """The folder's lock, for life. Left-over workers of a killed run are ended first.

    Raises OutputError when another run lives in the folder, or the lock cannot be made.
    """
    try:
        held = lock.FolderLock.acquire(paths.lock)
        if held is None and _end_orphans(paths):
            held = lock.FolderLock.acquire(paths.lock)
    except OSError as error:
        raise OutputError(
            f"output_dir {paths.root} cannot be locked: {error.strerror}", "choose another: --set output_dir=…"
        ) from error
    if held is None:
        raise live_run_error(paths)
    return held


def refuse_occupied(paths: RunPaths, mode: StartMode) -> None:
    """Raises OutputError when the folder holds files of others, or results while `mode` is "new"."""
    refuse_foreign(paths, mode)
    _refuse_results(paths, mode)


def _refuse_results(paths: RunPaths, mode: StartMode) -> None:
    if mode != "new":
        return
    holds = _what_it_holds(paths) or _what_it_holds(RunPaths(paths.replaced))
    if holds:
        raise OutputError(
            f"output_dir {paths.root} holds {holds}",
            "continue it with --resume, replace it with --overwrite, or choose another: --set output_dir=…",
        )


def refuse_live(paths: RunPaths) -> None:
    """Raises OutputError when a run lives in the folder; for a parent process that does not take the lock itself."""
    if _is_live(paths):
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


def settle_replaced(paths: RunPaths, reporter: Reporter) -> None:
    """Bring a run back that an attempt was to replace, if that attempt was killed before it trained; reported.

    Done before anything reads the folder's record or config. Raises as `take_lock` and `bring_back`.
    """
    if not replaced.waits(paths) or _is_live(paths):
        return
    held = take_lock(paths)
    try:
        back = replaced.returning(paths)
        replaced.bring_back(paths)
    finally:
        held.release()
    reporter.note(f"An attempt in {paths.root} ended before it trained: {back}")


def _is_foreign_lock(path: Path) -> bool:
    """Whether a file that no run wrote has the lock's name: it holds something, and names no process."""
    try:
        return path.is_symlink() or (
            path.is_file() and path.stat().st_size > 0 and "pid" not in (read_json(path) or {})
        )
    except OSError:
        return False


def _what_it_holds(paths: RunPaths) -> str:
    """What would be lost, in words; "" if nothing would."""
    record = read_record(paths)
    if record and record.ended and record.ended.state == "finished":
        return f"the finished run {record.name}"
    steps = [step for step, _ in paths.checkpoints()]
    if steps:
        return f"a run with checkpoints up to step {max(steps):,}"
    return "a trained adapter" if paths.adapter_weights.exists() else ""


def _is_live(paths: RunPaths) -> bool:
    return lock.probe(paths.lock) == "held" and not _only_orphans(paths)


def _only_orphans(paths: RunPaths) -> bool:
    owner = lock.owner(paths.lock)
    return owner is not None and not process.is_alive(owner) and bool(lock.holders(paths.lock))


def _end_orphans(paths: RunPaths) -> bool:
    """End the workers of a run whose main process is dead; they hold its lock, so they are its own.

    Meanwhile they may have ended by themselves, and another run may have begun: only who held the lock from the
    beginning is ended, and only if the lock still names the dead process.
    """
    found = lock.holders(paths.lock)
    if not _only_orphans(paths):
        return False
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while lock.holders(paths.lock) and time.monotonic() < deadline:
        time.sleep(0.2)
    left = [holder for holder in lock.holders(paths.lock) if holder in found]
    if left and not _only_orphans(paths):
        return False
    return not process.kill_all(left)
