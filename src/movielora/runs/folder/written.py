"""What a run wrote into its folder, and how that is proved: nothing else is ever moved, replaced or deleted.

run.json lists the files that are written once (config, prompt, adapter, tokenizer) with size and SHA-256, before they
take their places. What grows or changes proves itself by what is in it: the record, the heartbeat, the log by its
heading. A checkpoint does by its manifest, which names every file in it. Runs of versions without the list are
believed as far as their config, their checkpoints and their record agree with what is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from movielora.runs.checkpoints import file_digest
from movielora.runs.log_file import is_run_log
from movielora.runs.paths import ADAPTER_WEIGHTS_NAME, MANIFEST_NAME, RunPaths
from movielora.storage import fields
from movielora.storage.atomic import read_json
from movielora.storage.complete_folder import OWNER

# The list in run.json: name → size and SHA-256.
FILES_KEY = "files"
# events.out.tfevents.TIME.HOST.PID.NUMBER, as TensorBoard's writer names them.
_EVENTS = re.compile(r"events\.out\.tfevents\.(\d+)\.(.+)\.(\d+)\.\d+")
_STEP = re.compile(r"checkpoint-(\d+)")
# A writer rounds the time in the name down, and clocks of a record and a name are read one after the other.
_CLOCK_SECONDS = 2.0
# `compare` writes there by a config whose run was never trained; a run neither writes nor removes it.
_COMPARISON = "comparison"


class WrittenByRun:
    """What is in the run folder `paths`, judged by the record that is there now, or in the folder `by`. Reads only."""

    def __init__(self, paths: RunPaths, *, by: RunPaths | None = None) -> None:
        self._paths = paths
        raw = read_json((by or paths).record) or {}
        self.has_record = _is_record(raw)
        self._record = raw if self.has_record else {}
        self._listed = fields.mapping(self._record.get(FILES_KEY))
        self.has_list = FILES_KEY in self._record
        self._manifests = [_manifest(folder) for _, folder in paths.checkpoints()] if not self.has_list else []

    def entries(self) -> list[Path]:
        """Everything that may be moved or removed with the run: files, whole checkpoints, TensorBoard's events.

        The record is the last, so that a process killed in the middle leaves the proof of what remains. Without a
        record there is nothing.
        """
        if not self.has_record:
            return []
        paths = self._paths
        files = [path for path in paths.known_files() if path != paths.record and self.proves(path)]
        listed = [paths.root / name for name in self._listed]
        files += [path for path in listed if path not in files and path != paths.record and self.proves(path)]
        folders = [folder for _, folder in paths.checkpoints() if not strangers_in(folder)]
        return [*files, *folders, *self._events(), paths.record]

    def foreign(self, *, checkpoints: bool = True) -> list[str]:
        """Names of what a run must not touch: without a record of ours everything that is not hidden, else what
        has the name of a run's file and cannot be proved to be one. `checkpoints`: those of others count, too."""
        if not self._paths.root.is_dir():
            return []
        if not self.has_record:
            inside = [path for path in self._paths.root.iterdir() if not path.name.startswith(".")]
            return sorted(path.name for path in inside if not self._is_log(path) and path.name != _COMPARISON)
        named = [path for path in self._paths.known_files() if _exists(path) and not self.proves(path)]
        found = [str(path.relative_to(self._paths.root)) for path in named]
        if _exists(self._paths.tensorboard) and not _is_folder(self._paths.tensorboard):
            found.append(self._paths.tensorboard.name)
        if checkpoints:
            found += [name for _, folder in self._paths.checkpoints() for name in strangers_in(folder)]
        return sorted(found)

    def file_list(self) -> dict[str, Any]:
        """The list of the record; of an earlier version's, what is proved of the files that are written once."""
        if self.has_list:
            return self._listed
        found = [path for path in self._paths.known_files() if path not in self._own() and self.proves(path)]
        return {path.name: file_entry(path) for path in found}

    def proves(self, path: Path) -> bool:
        """Whether the run wrote this file as it is now, or it is a file that only a run can have written."""
        if path.is_symlink() or not path.is_file():
            return False
        own = self._own().get(path)
        try:
            if own is not None:
                return own(path)
            return self._is_listed(path) if self.has_list else self._is_of_earlier_version(path)
        except OSError:
            return False

    def _own(self) -> dict[Path, Callable[[Path], bool]]:
        """The files that grow or change, and how each proves itself."""
        return {
            self._paths.record: lambda path: self.has_record,
            self._paths.heartbeat: lambda path: _has_keys(path, "run_id", "boot_id", "monotonic"),
            self._paths.stop_request: lambda path: _has_keys(path, "run_id", "save", "time"),
            self._paths.metrics: _is_metrics,
            self._paths.log: self._is_log,
        }

    def _is_log(self, path: Path) -> bool:
        if path != self._paths.log or path.is_symlink() or not path.is_file():
            return False
        if path.stat().st_size == 0:  # nothing of anybody's
            return True
        # Earlier versions gave a log no heading, and wrote one in the background, or for a traceback.
        earlier = self.has_record and not self.has_list
        return is_run_log(path) or (earlier and self._record.get("detached") is True) or _is_traceback(path, earlier)

    def _is_listed(self, path: Path) -> bool:
        entry = fields.mapping(self._listed.get(path.relative_to(self._paths.root).as_posix()))
        # `replaces`: a process killed while it put the new file in its place left the old one there.
        return bool(entry) and any(
            is_listed_file(path, each) for each in (entry, fields.mapping(entry.get("replaces")))
        )

    def _is_of_earlier_version(self, path: Path) -> bool:
        if path == self._paths.config:
            return _is_config_of(path, fields.mapping(self._record.get("config")))
        entries = [fields.mapping(files[path.name]) for files in self._manifests if path.name in files]
        if any(is_listed_file(path, entry) for entry in entries):
            return True
        twins = [folder / path.name for _, folder in self._paths.checkpoints()]
        return path.name == ADAPTER_WEIGHTS_NAME and any(_same_tensors(path, twin) for twin in twins if twin.is_file())

    def _events(self) -> list[Path]:
        folder = self._paths.tensorboard
        if not _is_folder(folder):
            return []
        attempts = [self._record, *map(fields.mapping, self._record.get("attempts") or [])]
        return [path for path in sorted(folder.iterdir()) if any(_is_events_of(path, each) for each in attempts)]


def file_entry(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, as run.json and manifests list them. Raises OSError."""
    return {"size": path.stat().st_size, "sha256": file_digest(path)}


def is_listed_file(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file is the listed one, byte for byte. Raises OSError."""
    return path.stat().st_size == entry.get("size") and file_digest(path) == entry.get("sha256")


def strangers_in(checkpoint: Path) -> list[str]:
    """What in a folder `checkpoint-N` its manifest does not name; the folder itself if it has no manifest of step N.

    A damaged file of a checkpoint is still the checkpoint's: its name is listed.
    """
    if not _exists(checkpoint):
        return []
    listed = _manifest(checkpoint) if _is_folder(checkpoint) else {}
    if not listed:
        return [checkpoint.name]
    allowed = {*listed, MANIFEST_NAME, OWNER}
    inside = [path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if not _is_folder(path)]
    return [f"{checkpoint.name}/{name}" for name in sorted(inside) if name not in allowed]


def _manifest(checkpoint: Path) -> dict[str, Any]:
    """The files that the manifest of a checkpoint names; {} without one, or with that of another step (a copy)."""
    manifest, step = read_json(checkpoint / MANIFEST_NAME) or {}, _STEP.search(checkpoint.name)
    known = step is not None and fields.count(manifest.get("step")) == int(step[1])
    return fields.mapping(manifest.get(FILES_KEY)) if known else {}


def _is_record(raw: Mapping[str, Any]) -> bool:
    texts = all(isinstance(raw.get(key), str) and raw[key] for key in ("run_id", "name", "boot_id"))
    return texts and "schema" in raw and isinstance(raw.get("config"), dict) and isinstance(raw.get("argv"), list)


def _has_keys(path: Path, *keys: str) -> bool:
    return set(keys) <= set(read_json(path) or {})


def _is_metrics(path: Path) -> bool:
    """Every whole line is a row with step and time; a last one may be cut short."""
    with path.open("rb") as file:
        return all(_is_row(line) if line.endswith(b"\n") else line.startswith(b'{"time": ') for line in file)


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and {"time", "step"} <= set(row)


def _is_traceback(path: Path, earlier: bool) -> bool:
    with path.open("rb") as file:
        return earlier and file.read(9) == b"Traceback"


def _is_config_of(path: Path, recorded: Mapping[str, Any]) -> bool:
    """Whether a config.yaml says what the record says; its inputs may have become absolute paths."""
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeError, yaml.YAMLError, RecursionError):
        return False
    if not isinstance(written, dict) or "#" in path.read_text(encoding="utf-8"):  # a comment is somebody's own
        return False
    return bool(recorded) and all(_same(value, recorded.get(key)) for key, value in written.items())


def _same(written: Any, recorded: Any) -> bool:
    if isinstance(written, dict) and isinstance(recorded, dict):
        return all(_same(value, recorded.get(key)) for key, value in written.items())
    if isinstance(written, str) and isinstance(recorded, str) and Path(written).is_absolute():
        return Path(written).name == Path(recorded).name
    return bool(written == recorded)


def _same_tensors(one: Path, other: Path) -> bool:
    """Whether two safetensors files have the same names, types and shapes: weights of one LoRA at two steps."""
    headers = [_header(path) for path in (one, other)]
    return bool(headers[0]) and headers[0] == headers[1] and one.stat().st_size == other.stat().st_size


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(length) if length <= 100_000_000 else b""


def _is_events_of(path: Path, attempt: Mapping[str, Any]) -> bool:
    """Whether the process of an attempt wrote this file of curves: its host, its PID, no sooner than it began."""
    match = _EVENTS.fullmatch(path.name)
    started = fields.number(attempt.get("started"))
    if match is None or started is None or path.is_symlink() or not path.is_file():
        return False
    same = match[2] == attempt.get("host") and match[3] == str(attempt.get("pid"))
    return same and int(match[1]) >= started - _CLOCK_SECONDS


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def names(found: Iterable[str], most: int = 6) -> str:
    """`config.yaml, README.md and 3 more`."""
    listed = list(found)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
