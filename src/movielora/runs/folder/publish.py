"""Files that a run writes once: listed in run.json, then renamed to their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from movielora.errors import WorkError, shell_command
from movielora.runs.folder.written import WrittenByRun, file_entry, names
from movielora.runs.paths import ADAPTER_WEIGHTS_NAME, RunPaths
from movielora.storage.atomic import sync
from movielora.storage.complete_folder import OWNER, move_entries


def place_files(paths: RunPaths, staged: Path, list_files: Callable[[Mapping[str, Mapping[str, Any]]], None]) -> None:
    """Move the files of the folder `staged` into the run folder, each in one step, once `list_files` has their entries.

    The list comes first, so that a process killed in between leaves no file that nobody knows; the adapter's weights
    come last, so that a new config is never beside old weights that look complete. Raises WorkError if a place is
    taken by what the run did not write, OSError.
    """
    found = [path for path in staged.rglob("*") if path.is_file() and path.name != OWNER]
    files = sorted(found, key=lambda path: (path.name == ADAPTER_WEIGHTS_NAME, path))
    written = WrittenByRun(paths)
    places = [paths.root / path.relative_to(staged) for path in files]
    taken = [place for place in places if (place.exists() or place.is_symlink()) and not written.proves(place)]
    if taken:
        raise WorkError(
            f"{paths.root} holds what this run did not write: {names(place.name for place in taken)}",
            f"move that elsewhere, then: {shell_command('movielora', 'resume', paths.root)}",
        )
    for path in files:
        sync(path)
    list_files({path.relative_to(staged).as_posix(): file_entry(path) for path in files})
    move_entries(files, staged, paths.root)
    sync(paths.root)
