"""TensorBoard over the logs of runs, on this machine's own address only."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from movielora.errors import ConfigError, NoLiveRunError, WorkError
from movielora.machine.remote import LOOPBACK
from movielora.runs.paths import RunPaths

# TensorBoard's own port: the one that people have a tunnel for.
_USUAL_PORT = 6006
_START_SECONDS = 60.0


def log_folders(runs: Sequence[RunPaths]) -> dict[str, Path]:
    """The TensorBoard logs of those runs that have any, by the run's folder name.

    If two have one name, all get as many folders above as tell them apart: `a/seed1` and `b/seed1`. Raises
    NoLiveRunError if none has logs.
    """
    roots = sorted({paths.root.resolve() for paths in runs if paths.tensorboard.is_dir()})
    if not roots:
        raise NoLiveRunError("no run has TensorBoard logs yet", "they need report_to: [tensorboard] in the config")
    depth = 1
    while len({root.parts[-depth:] for root in roots}) < len(roots):
        depth += 1
    # The first part of a path is the root of the file system, which would leave the folder that the links are in.
    return {str(Path(*root.parts[1:][-depth:])): RunPaths(root).tensorboard for root in roots}


@contextmanager
def serve_board(folders: Mapping[str, Path], port: int | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """TensorBoard for the folders by name (`a/seed1` is shown so): its process and port, once it answers; ended on
    leaving.

    Raises ConfigError when `port` is taken, WorkError when TensorBoard does not come up.
    """
    if port is not None and not _is_free(port):
        raise ConfigError(f"port {port} is in use", "leave --port out for a free one")
    chosen = port if port is not None else _free_port()
    with tempfile.TemporaryDirectory(prefix="movielora-board-") as gathered:
        # One folder of links: TensorBoard's own list of folders breaks on names with a comma or a colon.
        for name, folder in folders.items():
            link = Path(gathered, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder.resolve(), target_is_directory=True)
        # Not the `tensorboard` script: the one of this Python environment is meant, whatever PATH says.
        command = [sys.executable, "-P", "-m", "tensorboard.main", "--host", LOOPBACK, "--port", str(chosen)]
        errors = Path(gathered, ".stderr")
        with errors.open("wb") as stderr:
            board = subprocess.Popen(
                [*command, "--logdir", gathered], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )
        try:
            _wait_until_it_answers(board, chosen, errors)
            yield board, chosen
        finally:
            board.terminate()
            board.wait()


def _wait_until_it_answers(board: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while _is_free(port):
        if board.poll() is not None or time.monotonic() > deadline:
            said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise WorkError(f"TensorBoard did not start: {said[-1] if said else 'it printed nothing'}")
        time.sleep(0.1)


def _free_port() -> int:
    if _is_free(_USUAL_PORT):
        return _USUAL_PORT
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) != 0
