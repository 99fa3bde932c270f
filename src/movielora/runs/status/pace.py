"""How fast earlier runs on this machine trained, read from what they left in their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.runs.lookup.find import list_runs
from movielora.runs.paths import RunPaths
from movielora.runs.record import RunRecord, read_record
from movielora.runs.status.heartbeat import read_heartbeat
from movielora.storage import fields, process

# The first steps wait for kernels and caches.
_LEAST_STEPS = 20


@dataclass(frozen=True)
class Pace:
    """The rate of one run, without evaluations; tokens without padding. `same_data`: it read the data in question."""

    run: str
    examples_per_second: float
    tokens_per_second: float
    same_data: bool

    def seconds_per_example(self, tokens: float) -> float:
        """Of an example of that dataset; of one with `tokens` tokens if the run had other data."""
        return 1 / self.examples_per_second if self.same_data else tokens / self.tokens_per_second


def measured_pace(
    roots: Iterable[Path], config: Mapping[str, Any], data: Mapping[str, Any], device: str
) -> Pace | None:
    """The rate of the newest run under `roots` that trained on `device` of this host with all values of `config`.

    `data` holds the values that say which data a run reads.
    """
    for root in dict.fromkeys(path.resolve() for path in roots):
        for paths in list_runs(root):
            if (found := _pace_of(paths, config, data, device)) is not None:
                return found
    return None


def _pace_of(paths: RunPaths, config: Mapping[str, Any], data: Mapping[str, Any], device: str) -> Pace | None:
    record, heartbeat = read_record(paths), read_heartbeat(paths)
    if record is None or heartbeat is None or heartbeat.text("run_id") != record.run_id:
        return None
    examples, tokens = heartbeat.number("examples_per_second"), heartbeat.number("tokens_per_second")
    placed = fields.mapping(record.raw.get("placement"))
    here = record.host == process.host() and placed.get("device") == device
    long_enough = (heartbeat.count("step") or 0) >= _LEAST_STEPS
    if not (examples and tokens and here and long_enough and _has(record, config)):
        return None
    return Pace(record.name or paths.root.name, examples, tokens, _has(record, data))


def _has(record: RunRecord, values: Mapping[str, Any]) -> bool:
    trained = fields.mapping(record.raw.get("config"))
    return all(key in trained and trained[key] == value for key, value in values.items())
