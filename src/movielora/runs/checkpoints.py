"""Which checkpoints of a run folder are complete.

A checkpoint of ours carries a manifest (every file, its size and SHA-256), so that a missing, cut or changed file is
found before anything loads. transformers resumes from a folder without optimizer or RNG files silently, with other
losses. Folders that a plain HF Trainer wrote have no manifest and are judged by the files a resume needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.runs.paths import ADAPTER_WEIGHTS_NAME, MANIFEST_NAME, TRAINER_STATE_NAME, RunPaths
from movielora.storage import fields
from movielora.storage.atomic import read_json

_STATE_LIMIT_BYTES = 64 * 1024 * 1024
_WEIGHTS = (ADAPTER_WEIGHTS_NAME, "model.safetensors", "model.safetensors.index.json", "adapter_model.bin")
_RESUME_FILES = ("optimizer.pt", "scheduler.pt", TRAINER_STATE_NAME)


@dataclass(frozen=True)
class Checkpoint:
    """One folder `checkpoint-N`. `ours`: it has a manifest. `problems`: what is missing or damaged, file by file."""

    step: int
    path: Path
    ours: bool
    problems: tuple[str, ...]
    size_bytes: int

    @property
    def complete(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Best:
    """The best evaluation so far, as the trainer recorded it. `metric` may be "" in a plain HF folder."""

    metric: str
    value: float | None
    step: int


def list_checkpoints(paths: RunPaths, *, deep: bool = False) -> list[Checkpoint]:
    """Every `checkpoint-N`, by step. `deep` compares hashes too; without it, names and sizes (fast)."""
    return [inspect(path, step, deep=deep) for step, path in paths.checkpoints()]


def newest_complete(paths: RunPaths) -> tuple[Checkpoint | None, list[Checkpoint]]:
    """The newest checkpoint of ours whose every byte is right, and the newer ones that were skipped."""
    skipped: list[Checkpoint] = []
    for step, path in reversed(paths.checkpoints()):
        found = inspect(path, step, deep=True)
        if found.complete and found.ours:
            return found, skipped
        skipped.append(found)
    return None, skipped


def inspect(path: Path, step: int, *, deep: bool = True) -> Checkpoint:
    """Judge one checkpoint folder; never raises for what is in it."""
    manifest = read_json(path / MANIFEST_NAME)
    if manifest is not None:
        problems = _against_manifest(path, manifest, deep=deep)
    elif (path / MANIFEST_NAME).exists():
        problems = [f"{MANIFEST_NAME} is damaged"]
    else:
        problems = _without_manifest(path)
    return Checkpoint(step, path, manifest is not None, tuple(problems), folder_size(path))


def read_trainer_state(checkpoint: Path) -> dict[str, Any]:
    """trainer_state.json of a checkpoint (or of a plain HF output folder), {} if it cannot be read."""
    return read_json(checkpoint / TRAINER_STATE_NAME, _STATE_LIMIT_BYTES) or {}


def best_from(state: dict[str, Any], metric: str = "") -> Best | None:
    """The best evaluation named by a trainer state; older transformers name only the folder."""
    step = fields.count(state.get("best_global_step"))
    if not step:
        named = re.search(r"checkpoint-(\d{1,12})/?$", fields.text(state.get("best_model_checkpoint"), 4096))
        step = int(named.group(1)) if named else None
    return Best(metric, fields.number(state.get("best_metric")), step) if step else None


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_size(folder: Path) -> int:
    """Bytes of all files below `folder`, links not followed; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _against_manifest(path: Path, manifest: dict[str, Any], *, deep: bool) -> list[str]:
    listed = fields.mapping(manifest.get("files"))
    if not listed:
        return [f"{MANIFEST_NAME} names no files"]
    found = (_file_problem(path, name, fields.mapping(entry), deep=deep) for name, entry in listed.items())
    return [problem for problem in found if problem]


def _file_problem(folder: Path, name: str, expected: dict[str, Any], *, deep: bool) -> str:
    shown = fields.text(name, 80)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return f"{MANIFEST_NAME} names a file outside: {shown}"
    try:
        if not (folder / name).is_file():
            return f"{shown} is missing"
        size = (folder / name).stat().st_size
        if size != expected.get("size"):
            return f"{shown} has {size:,} bytes, not {fields.count(expected.get('size')) or 0:,}"
        changed = deep and file_digest(folder / name) != expected.get("sha256")
        return f"{shown} has changed since it was saved" if changed else ""
    except OSError as error:  # no permission, a disk fault, a name that no file can have
        return f"{shown} cannot be read: {error.strerror}"


def _without_manifest(path: Path) -> list[str]:
    """What a resume needs of a plain HF Trainer's checkpoint, and whether each file is complete by its own format."""
    problems = [f"{name} is missing" for name in _RESUME_FILES if not (path / name).is_file()]
    if not any((path / name).is_file() for name in _WEIGHTS):
        problems.append("the weights are missing")
    if not any(path.glob("rng_state*.pth")):
        problems.append("rng_state.pth is missing")
    return problems + [f"{file.name} is damaged" for file in sorted(path.iterdir()) if not _has_its_form(file)]


def _has_its_form(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return _safetensors_is_whole(file)
    if file.suffix in (".pt", ".pth"):
        return zipfile.is_zipfile(file)
    return file.name != TRAINER_STATE_NAME or bool(read_trainer_state(file.parent))


def _safetensors_is_whole(file: Path) -> bool:
    """Layout: 8 bytes little-endian header length, the JSON header, then data up to the largest offset it names.

    https://github.com/huggingface/safetensors#format
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= 100_000_000:
                return False
            header = json.loads(opened.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return bool(file.stat().st_size == 8 + length + max(ends, default=0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
