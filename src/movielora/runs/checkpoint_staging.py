"""Saving a checkpoint so that it is complete or absent, whatever happens meanwhile.

Written into a hidden working folder, listed in a manifest, then published (`storage/complete_folder.py`). A process
that is killed inside a save leaves only the working folder, which the next attempt removes: it holds the run's lock, so
no process can be writing there.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from movielora.errors import WorkError
from movielora.runs.checkpoints import inspect, list_checkpoints
from movielora.runs.folder.written import file_entry, names, strangers_in
from movielora.runs.paths import MANIFEST_NAME, RunPaths
from movielora.storage.atomic import write_json_atomically
from movielora.storage.complete_folder import OWNER, make_working_folder, replace

# A save is about as large as the last one; the margin is for the optimizer's first step and the file system.
_SPACE_MARGIN = 1.2
_SPACE_AT_LEAST_BYTES = 16 * 1024 * 1024


@contextmanager
def staged_checkpoint(
    paths: RunPaths, step: int, *, required: Sequence[str] = (), expected_bytes: int = 0
) -> Iterator[Path]:
    """Yield the folder to write checkpoint `step` into; on leaving it becomes `checkpoint-N`, or is removed.

    `required` files must be there at the end. `expected_bytes` is the size of the save if no earlier one shows it.
    Raises WorkError when space is short or a required file is missing, OSError when writing fails; in each case the
    earlier checkpoints stay as they were.
    """
    check_free_space(paths, expected_bytes)
    folder = stage(paths, step)
    try:
        yield folder
        commit(paths, step, required=required)
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def stage(paths: RunPaths, step: int) -> Path:
    """An empty staging folder for checkpoint `step`, private to the user."""
    folder = paths.staging(step)
    if folder.exists():
        shutil.rmtree(folder)
    make_working_folder(folder, mode=0o700)
    return folder


def commit(paths: RunPaths, step: int, *, required: Sequence[str] = ()) -> Path:
    """Turn the staging folder of `step` into its checkpoint. Raises WorkError, OSError."""
    folder = paths.staging(step)
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        raise WorkError(f"checkpoint {step} was saved without {', '.join(missing)}, so it could not be resumed exactly")
    final = paths.checkpoint(step)
    if strangers := strangers_in(final):
        raise WorkError(f"checkpoint {step} has no place: {names(strangers)} in {paths.root} is not movielora's")
    _write_manifest(folder, step)
    replace(folder, final, aside=paths.retired(step))  # the same step may be saved again after a resume
    return final


def remove_leftovers(paths: RunPaths) -> None:
    """Clear what a killed attempt left: half-written saves go; a complete checkpoint set aside comes back.

    A folder that is neither signed nor a checkpoint of ours by its manifest is somebody else's, and stays.
    """
    for path in paths.leftovers():
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)
            continue
        if not (path / OWNER).is_file() and any(path.iterdir()) and strangers_in(path):
            continue
        step = _step_of(path)
        waits = step is not None and path == paths.retired(step) and not paths.checkpoint(step).exists()
        if step is not None and waits and inspect(path, step).complete:
            path.rename(paths.checkpoint(step))
        else:
            shutil.rmtree(path)


def rotate(paths: RunPaths, *, keep: int | None, best_step: int | None) -> list[int]:
    """Delete the oldest checkpoints beyond `keep`, never the newest complete nor the best. Returns the steps deleted.

    One that is not ours, or holds a file of somebody else's, stays and is not counted.
    With `keep` 1 the best and the newest both stay: a resume needs the newest, and the end of the training the best.
    """
    if keep is None or keep < 1:
        return []
    found = [checkpoint for checkpoint in list_checkpoints(paths) if not strangers_in(checkpoint.path)]
    newest = max((checkpoint.step for checkpoint in found if checkpoint.complete), default=None)
    protected = {newest, best_step}
    candidates = [checkpoint.step for checkpoint in found if checkpoint.step not in protected]
    surplus = candidates[: max(0, len(found) - keep)]
    for step in surplus:
        # Renamed first: a checkpoint that is half deleted must not have the name of one.
        shutil.rmtree(paths.retired(step), ignore_errors=True)
        paths.checkpoint(step).rename(paths.retired(step))
        _remove(paths.retired(step))
    return surplus


def _remove(checkpoint: Path) -> None:
    """The manifest goes last: it proves what a process killed in here leaves behind."""
    for path in checkpoint.iterdir():
        if path.name != MANIFEST_NAME:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(checkpoint)


def check_free_space(paths: RunPaths, expected_bytes: int = 0) -> None:
    """Raises WorkError when the disk has less space than a save is expected to take."""
    sizes = [checkpoint.size_bytes for checkpoint in list_checkpoints(paths)]
    needed = max([expected_bytes, *sizes]) * _SPACE_MARGIN + _SPACE_AT_LEAST_BYTES
    free = shutil.disk_usage(paths.root).free
    if free < needed:
        raise WorkError(
            f"a checkpoint needs about {needed / 1e6:,.0f} MB and {paths.root} has {free / 1e6:,.0f} MB free",
            "free some space, or lower save_total_limit; training state is safe in the last checkpoint",
        )


def _write_manifest(folder: Path, step: int) -> None:
    files = {
        str(path.relative_to(folder)): file_entry(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST_NAME, OWNER)
    }
    write_json_atomically(folder / MANIFEST_NAME, {"schema": 1, "step": step, "files": files})


def _step_of(leftover: Path) -> int | None:
    """The step of a checkpoint's working or set-aside folder; None for what is no checkpoint's."""
    match = re.match(r"\.checkpoint-(\d+)\.", leftover.name)
    return int(match.group(1)) if match else None
