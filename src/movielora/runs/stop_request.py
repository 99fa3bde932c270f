"""What goes with a stop signal: whether to save. The signal cannot carry that."""

from __future__ import annotations

import time
from dataclasses import dataclass

from movielora.runs.paths import RunPaths
from movielora.storage.atomic import read_json, write_json_atomically


@dataclass
class StopRequest:
    """What a run has been asked. `save`: write a checkpoint first; `insisted`: asked again, end without saving."""

    requested: bool = False
    save: bool = True
    insisted: bool = False
    signal: str = ""


def write_stop_request(paths: RunPaths, run_id: str, *, save: bool) -> None:
    """Write the request for the run `run_id`, which reads it when the signal arrives. Raises OSError."""
    write_json_atomically(paths.stop_request, {"run_id": run_id, "save": save, "time": time.time()}, durable=False)


def stop_is_requested(paths: RunPaths, run_id: str) -> bool:
    """Whether `stop` has asked the present attempt; a new attempt removes the request to the last."""
    request = read_json(paths.stop_request)
    return request is not None and request.get("run_id") == run_id


def wants_save(paths: RunPaths, run_id: str) -> bool:
    """Without a request file a checkpoint is wanted: Ctrl-C and a plain `kill` mean a stop without loss."""
    request = read_json(paths.stop_request)
    return not (request is not None and request.get("run_id") == run_id and request.get("save") is False)
