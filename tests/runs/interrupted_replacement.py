"""A signal at every moment of a replacement, each in a process of its own.

python interrupted_replacement.py WHAT SIGNAL FINISHED WORK

WHAT is "replace" (a run over a copy of the run FINISHED, which ends before it trains) or "settle" (the start after such
a run was killed). The process of copy N gets SIGNAL at its Nth change of the file system. Then the next start settles
each copy; prints one line for each: the names that differ from FINISHED.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from movielora.errors import OutputError
from movielora.progress import SILENT
from movielora.runs.paths import RunPaths
from movielora.runs.run_guard import settle_replaced
from movielora.runs.session import RunSession

_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
_NOT_REACHED = 10


def main() -> None:
    what, number, finished, work = sys.argv[1], signal.Signals[sys.argv[2]], Path(sys.argv[3]), Path(sys.argv[4])
    for moment in count(1):
        folder = work / str(moment)
        shutil.copytree(finished, folder)
        status = (_signal_in_settling if what == "settle" else _signal_in_replacing)(folder, number, moment)
        settle_replaced(RunPaths(folder), SILENT)
        print(json.dumps(_differences(finished, folder)), flush=True)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NOT_REACHED:
            return


def _signal_in_replacing(folder: Path, number: signal.Signals, moment: int) -> int:
    return _in_a_child(lambda: _replace(folder), number, moment)


def _signal_in_settling(folder: Path, number: signal.Signals, moment: int) -> int:
    _in_a_child(lambda: _replace(folder, signal.SIGKILL), signal.SIGKILL, 0)
    return _in_a_child(lambda: settle_replaced(RunPaths(folder), SILENT), number, moment)


def _replace(folder: Path, end_by: signal.Signals | None = None) -> None:
    with RunSession.open(
        folder, argv=["movielora"], config={}, config_yaml="model_name_or_path: tiny\n", mode="overwrite"
    ) as session:
        session.beat(phase="loading model", force=True)
        if end_by:
            os.kill(os.getpid(), end_by)
        raise OutputError("bad data")


def _in_a_child(work: Callable[[], None], number: signal.Signals, moment: int) -> int:
    """How the child ended, as `os.waitpid` says it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    seen = 0

    def hook(event: str, _: Any) -> None:
        nonlocal seen
        if event in _CHANGES:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), number)

    sys.addaudithook(hook)
    try:
        work()
    finally:  # whatever it leaves with
        os._exit(0 if seen >= moment else _NOT_REACHED)


def _differences(finished: Path, folder: Path) -> list[str]:
    """Working folders and temporary files of a killed process do not count: the next run removes them."""
    before, now = _contents(finished), _contents(folder)
    changed = sorted(name for name in before | now if before.get(name) != now.get(name))
    return [name for name in changed if not name.startswith(".") or name.startswith(".replaced/")]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
