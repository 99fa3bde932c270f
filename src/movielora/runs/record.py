"""run.json: who a run is, and how each of its attempts ended."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from movielora import __version__
from movielora.errors import ConfigError
from movielora.machine import memory_events
from movielora.runs.paths import RunPaths
from movielora.storage import fields, process
from movielora.storage.atomic import finite, read_json

RECORD_SCHEMA = 1
# Resuming again and again keeps the record small: the first attempts beyond this are forgotten.
_ATTEMPTS_KEPT = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as it recorded it. `signal` is the name of the signal that asked it to stop, or ""."""

    state: str
    reason: str
    exit_code: int | None
    signal: str
    checkpoint: str
    elapsed_seconds: float | None
    time: float | None


@dataclass(frozen=True)
class RunRecord:
    """run.json as a reader takes it: values of the right type and size, or absent. `raw` is for what is not named."""

    raw: dict[str, Any]
    run_id: str
    name: str
    argv: list[str]
    cwd: str
    host: str
    started: float | None
    identity: process.Identity | None
    detached: bool
    attempt: int
    ended: Ending | None


def check_name(name: str) -> str:
    """`name` when it may name a run: letters, digits, dot, dash, underscore. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a run cannot be named {name[:60]!r}{'…' if len(name) > 60 else ''}: letters, digits, '.', '-' and '_' "
            "only, 100 at most, a letter or digit first",
            "movielora train --name my-run …",
        )
    return name


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of the config as JSON with sorted keys."""
    plain = json.dumps(finite(dict(config)), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


def new_record(
    paths: RunPaths,
    *,
    argv: Sequence[str],
    config: Mapping[str, Any],
    name: str | None,
    detached: bool,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The record of an attempt that begins now; `previous` is the record that it continues, or None.

    Raises ConfigError when `name` cannot name a run.
    """
    now = time.time()
    default_name = f"{paths.root.name}-{datetime.fromtimestamp(now):%Y%m%d-%H%M%S}"
    kept = dict(previous or {})
    attempts = [item for item in kept.get("attempts", []) if isinstance(item, dict)] if previous else []
    if previous:
        attempts.append(_attempt_of(previous))
    identity, events = process.this_process(), memory_events.events_file()
    return {
        **{key: kept[key] for key in ("data_hash", "base", "placement", "dataset", "asked") if key in kept},
        "schema": RECORD_SCHEMA,
        "run_id": fields.text(kept.get("run_id"), 100)
        or f"{datetime.fromtimestamp(now):%Y%m%d}-{secrets.token_hex(6)}",
        "name": check_name(name) if name is not None else _kept_name(kept) or _fitting(default_name),
        "argv": list(argv),
        "cwd": str(Path.cwd()),
        "config": dict(config),
        "config_hash": config_hash(config),
        "versions": {"movielora": __version__, "python": sys.version.split()[0]},
        "host": process.host(),
        "user": _user(),
        **identity.to_json(),
        "pgid": os.getpgid(0),
        "memory_events": str(events) if events else None,
        "out_of_memory_kills": memory_events.kills(events) if events else None,
        "started": now,
        "first_started": fields.number(kept.get("first_started")) or now,
        "detached": detached,
        "attempt": len(attempts) + 1,
        "attempts": attempts[-_ATTEMPTS_KEPT:],
        "ended": None,
    }


def read_record(paths: RunPaths) -> RunRecord | None:
    """The record of the run folder, or None if there is none that can be read."""
    raw = read_json(paths.record)
    if raw is None:
        return None
    return RunRecord(
        raw=raw,
        run_id=fields.text(raw.get("run_id"), 100),
        name=fields.text(raw.get("name"), 100),
        argv=fields.texts(raw.get("argv")),
        cwd=fields.text(raw.get("cwd"), 4096),
        host=fields.text(raw.get("host")),
        started=fields.number(raw.get("started")),
        identity=process.identity_from(raw),
        detached=raw.get("detached") is True,
        attempt=fields.count(raw.get("attempt")) or 1,
        ended=_ending_from(raw.get("ended")),
    )


def _ending_from(value: Any) -> Ending | None:
    if not isinstance(value, dict):
        return None
    exit_code = fields.number(value.get("exit_code"))
    return Ending(
        state=fields.text(value.get("state"), 40),
        reason=fields.text(value.get("reason"), 2000),
        exit_code=int(exit_code) if exit_code is not None else None,
        signal=fields.text(value.get("signal"), 20),
        checkpoint=fields.text(value.get("checkpoint"), 200),
        elapsed_seconds=fields.number(value.get("elapsed_seconds")),
        time=fields.number(value.get("time")),
    )


def _attempt_of(previous: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an attempt once another has begun."""
    ended = previous.get("ended") if isinstance(previous.get("ended"), dict) else {"state": "killed"}
    return {
        "started": previous.get("started"),
        "pid": previous.get("pid"),
        "host": previous.get("host"),
        **(ended or {}),
    }


def _kept_name(kept: Mapping[str, Any]) -> str:
    name = kept.get("name")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _fitting(name: str) -> str:
    """A folder may have a name that a run may not: what does not fit becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[-100:] or "run"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return str(os.getuid())
