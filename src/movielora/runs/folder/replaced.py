"""A run that is being replaced: it waits in `.replaced` until the new one trains, and comes back if that never does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movielora.errors import OutputError
from movielora.runs.folder.written import WrittenByRun, names
from movielora.runs.paths import RunPaths
from movielora.runs.record import read_record
from movielora.storage.complete_folder import make_working_folder, move_entries


@contextmanager
def set_aside_until_error(paths: RunPaths, *, keep_log: bool) -> Iterator[None]:
    """As `set_aside`; an error inside brings the run back."""
    try:
        set_aside(paths, keep_log=keep_log)
        yield
    except BaseException:
        bring_back(paths)
        raise


def set_aside(paths: RunPaths, *, keep_log: bool) -> None:
    """Move what an earlier run wrote, and nothing else, to where it waits for `forget` or `bring_back`.

    So an overwriting that is refused (bad data, a wrong option) costs nothing. Raises OutputError.
    """
    kept = {paths.log} if keep_log else set()
    found = [path for path in WrittenByRun(paths).entries() if path not in kept]
    if found and paths.replaced.exists():
        raise OutputError(f"{paths.replaced} is in the way, and no run of movielora wrote it", "move it elsewhere")
    try:
        move_entries(found, paths.root, paths.replaced)
    except OSError as error:
        raise OutputError(f"{error.filename or paths.root} cannot be moved: {error.strerror}") from error


def waits(paths: RunPaths) -> bool:
    """Whether an earlier run waits in `.replaced`, whole or in part."""
    return bool(_waiting(paths))


def returning(paths: RunPaths) -> str:
    """What is said when the run that waits comes back; "" if none waits."""
    if not waits(paths):
        return ""
    record = read_record(RunPaths(paths.replaced)) or read_record(paths)
    name = f"the run {record.name}" if record and record.name else "the earlier run"
    return f"{name}, which it was to replace, is back in its place"


def bring_back(paths: RunPaths) -> None:
    """Put an earlier run that waits back in its place, and remove what the attempt over it wrote.

    The log of a background attempt stays: it is the earlier run's, continued. Raises OutputError if something else is
    in one of its places, OSError.
    """
    waiting, moved = RunPaths(paths.replaced), _waiting(paths)
    if waiting.record in moved:
        attempt = read_record(paths)
        remove_written(paths, keep_log=attempt is not None and attempt.detached)
    taken = [path.name for path in moved if (paths.root / path.relative_to(waiting.root)).exists()]
    if taken:
        raise OutputError(
            f"the run that waits in {waiting.root} cannot come back: {names(taken)} is in its place",
            f"move that out of {paths.root}",
        )
    move_entries(moved, waiting.root, paths.root)
    for folder in (waiting.tensorboard, waiting.root):
        with suppress(OSError):  # not there, or something of somebody else's is in it
            folder.rmdir()


def forget(paths: RunPaths) -> None:
    """The new run trains: remove the one it replaces. Raises OSError."""
    if WrittenByRun(RunPaths(paths.replaced)).has_record:
        working = paths.file_staging()
        make_working_folder(working, mode=0o700)
        paths.replaced.rename(working / paths.replaced.name)  # half of a run must not wait to come back
        shutil.rmtree(working)


def remove_written(paths: RunPaths, *, keep_log: bool = False) -> None:
    """Delete what a run wrote into its folder, and nothing else. Raises OSError."""
    for path in WrittenByRun(paths).entries():
        if keep_log and path == paths.log:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _waiting(paths: RunPaths) -> list[Path]:
    """What waits in `.replaced`, in the order in which it comes back: the record first.

    When a run is set aside its record moves last. So one that waits without its record was on its way, and the record
    that is in the folder is its own.
    """
    waiting = RunPaths(paths.replaced)
    if not waiting.root.is_dir():
        return []
    if whole := WrittenByRun(waiting).entries()[::-1]:
        return whole
    written = WrittenByRun(waiting, by=paths)
    found = [path for path in written.entries() if path != waiting.record]
    if written.has_record and not written.has_list:  # of an earlier version: its proof is not in one place now
        found += [path for path in waiting.known_files() if path not in found and path.is_file()]
    return found
