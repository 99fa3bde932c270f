"""How fast earlier runs on this machine trained, read from what they left in their folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.runs.lookup.find import list_runs, started_at
from movielora.runs.lookup.index import remembered
from movielora.runs.record import RunRecord, read_record
from movielora.runs.status.heartbeat import Heartbeat, read_heartbeat
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
    roots: Iterable[Path], config: Mapping[str, Any], data: Mapping[str, Any], device: str, *, anywhere: bool
) -> Pace | None:
    """The rate of this user's newest run that trained on `device` of this host with all values of `config`.

    Looked for under `roots` and in the index. `data` holds the values that say which data a run reads. Without
    `anywhere` the values mean something in this folder only (a relative path), and only runs started here count.
    """
    runs = {paths.root.resolve(): paths for root in roots for paths in list_runs(root)}
    runs |= {paths.root.resolve(): paths for paths in remembered()}
    for paths in sorted(runs.values(), key=started_at, reverse=True):
        record, heartbeat = read_record(paths), read_heartbeat(paths)
        if record is None or heartbeat is None or heartbeat.text("run_id") != record.run_id:
            continue
        started_here = record.cwd == str(Path.cwd())
        if (anywhere or started_here) and _trained_alike(record, heartbeat, config, device):
            examples, tokens = (heartbeat.number(f"{unit}_per_second") or 0.0 for unit in ("examples", "tokens"))
            name = record.name or paths.root.name
            return Pace(name, examples, tokens, same_data=started_here and _has(record, data))
    return None


def _trained_alike(record: RunRecord, heartbeat: Heartbeat, config: Mapping[str, Any], device: str) -> bool:
    """Whether the run's rates are known, and are of this host, this device and these values."""
    known = heartbeat.number("examples_per_second") and heartbeat.number("tokens_per_second")
    long_enough = (heartbeat.count("step") or 0) >= _LEAST_STEPS
    placed = fields.mapping(record.raw.get("placement"))
    here = record.host == process.host() and placed.get("device") == device
    return bool(known) and long_enough and here and _has(record, config)


def _has(record: RunRecord, values: Mapping[str, Any]) -> bool:
    trained = fields.mapping(record.raw.get("config"))
    return all(key in trained and trained[key] == value for key, value in values.items())
