"""The list of this user's runs, so that a run is found by its name from any folder.

One small file a run in the state folder of the XDG rules, named by a hash of the run's folder: trainings that start at
once write different files. It is only a list of places; what a run is called and how it ended is read from the run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from movielora.runs.paths import RunPaths
from movielora.storage.atomic import read_json, write_text_atomically

_SCHEMA = 1
_LIMIT_BYTES = 64 * 1024


def index_folder() -> Path:
    """`$XDG_STATE_HOME/movielora/runs`; a relative variable is ignored, as the XDG base directory rules say."""
    named = os.environ.get("XDG_STATE_HOME", "")
    home = Path(os.path.expanduser("~/.local/state"))  # noqa: PTH111 (Path's raises without a home)
    return (Path(named) if Path(named).is_absolute() else home) / "movielora" / "runs"


def remember(folder: Path, note: Callable[[str], None]) -> None:
    """Put the run in `folder` on the list. If the list cannot be written, that is a note and nothing else changes."""
    real = os.path.realpath(folder)
    entry = _entry(real)
    # ASCII, because a folder's name need not be valid UTF-8.
    text = json.dumps({"schema": _SCHEMA, "folder": real, "mount": _mount_of(Path(real))})
    try:
        if not entry.is_absolute():  # no home folder is known
            raise FileNotFoundError(0, "there is no home folder", str(entry))
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text_atomically(entry, text + "\n", durable=False)
    except OSError as error:
        note(
            f"{entry.parent} cannot be written ({error.strerror}): from other folders this run is found by its path, "
            "not by its name; XDG_STATE_HOME names another place"
        )


def remembered() -> list[RunPaths]:
    """Every run on the list whose folder is there; entries of folders that are gone, or no runs any more, are removed.

    A folder on a disk that is not mounted now is left out, and its entry stays.
    """
    found = []
    for entry in _entries():
        folder = _folder_in(entry)
        if folder is None:  # not ours: it stays
            continue
        if RunPaths(folder).holds_a_run():
            found.append(RunPaths(folder))
        elif _is_gone(folder, entry):
            with suppress(OSError):
                entry.unlink()
    return found


def _entry(real: str) -> Path:
    return index_folder() / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.json"


def _entries() -> list[Path]:
    try:
        return sorted(path for path in index_folder().iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError:
        return []


def _folder_in(entry: Path) -> Path | None:
    """The folder that an entry names; None if it is not an entry that `remember` wrote."""
    folder = _read(entry).get("folder")
    if not isinstance(folder, str) or not Path(folder).is_absolute() or "\0" in folder or _entry(folder) != entry:
        return None
    return Path(folder)


def _is_gone(folder: Path, entry: Path) -> bool:
    """Whether the run is certainly gone: its disk is mounted, and the folder is not there or holds no run."""
    mount = _read(entry).get("mount")
    if isinstance(mount, str) and not os.path.ismount(mount):
        return False
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # not readable now, a network disk that does not answer
        return False
    return os.access(folder, os.R_OK | os.X_OK) and not RunPaths(folder).holds_a_run()


def _mount_of(folder: Path) -> str:
    return str(next(path for path in (folder, *folder.parents) if os.path.ismount(path) or path.parent == path))


def _read(entry: Path) -> dict[str, Any]:
    return read_json(entry, _LIMIT_BYTES) or {}
