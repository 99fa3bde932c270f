"""`meta.json` of a dataset folder: how it was prepared, and the size and hash of each file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast, get_args

from movielora.dataset.names import INTERACTIONS, META
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError, shell_command, what_helps
from movielora.sources.titles import Titles
from movielora.storage.atomic import read_json

SCHEMA_VERSION = 2
_PREPARE = ("movielora", "prepare", "--source", "ratings/", "--output-dir")


@dataclass(frozen=True)
class FileFacts:
    """The size and SHA-256 of a file as it was written."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetMeta:
    """What a program needs of `meta.json`; `values` is the whole of it.

    `counts` is the number of examples of each split, `content_sha256` the identity of the columns, whichever export
    lies beside them.
    """

    history_len: int
    rating_threshold: float
    split: str
    seed: int
    titles: Titles
    ratings: int
    counts: dict[str, int]
    content_sha256: str
    files: dict[str, FileFacts]
    values: Mapping[str, Any]


def read_meta(folder: Path) -> DatasetMeta:
    """Read `meta.json` of a dataset folder.

    Raises:
        DataError: there is none, it is damaged, or its schema is an older or a newer one.
    """
    path = folder / META
    values = _read_object(path)
    command = remake_command(values, folder)
    again = f"Move {folder} away and prepare it again: {command}"
    version = values.get("schema_version", 1)
    if version == 1:
        raise DataError(
            f"{folder} was prepared by an older movielora and holds JSON files but no columns.",
            f"Prepare it again: {command} --overwrite",
        )
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema_version {version!r}; this movielora reads {SCHEMA_VERSION}.",
            f"Update movielora. Or: {again}",
        )
    try:
        return DatasetMeta(
            history_len=_at_least(values, "history_len", 1),
            rating_threshold=_number(values, "rating_threshold"),
            split=_text(values, "split"),
            seed=_at_least(values, "seed", 0),
            titles=_titles(values),
            ratings=_at_least(values, "ratings", 1),
            counts={name: _at_least(_object(values, "counts"), name, 0) for name in _object(values, "counts")},
            content_sha256=_text(values, "content_sha256"),
            files=_all_facts(values),
            values=values,
        )
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}.", again) from None


def is_prepared(folder: Path) -> bool:
    """Whether `folder` holds a dataset of this or a newer schema, sound or not (one that `Dataset.open` is for).

    `meta.json` is a name that other programs use too: it must list the columns, or they must be there.
    """
    values = read_json(folder / META)
    if values is None or values.get("schema_version", 1) == 1:
        return False
    files = values.get("files")
    return (isinstance(files, dict) and INTERACTIONS in files) or (folder / INTERACTIONS).is_file()


def recorded_files(values: Mapping[str, Any] | None) -> dict[str, FileFacts]:
    """The files that a `meta.json` of movielora's lists, of this schema or of 1; empty if another program wrote it."""
    if values is None or not isinstance(values.get("movielora_version"), str):
        return {}
    if values.get("schema_version", 1) not in (1, SCHEMA_VERSION):
        return {}
    try:
        return _all_facts(values)
    except ValueError:
        return {}


def remake_command(values: Mapping[str, Any], folder: Path) -> str:
    """The `movielora prepare` command that makes the dataset again, as far as `values` (of its meta.json) says how."""
    source = values.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        return shell_command(*_PREPARE, folder)
    parts = ["movielora", "prepare", "--source", path, "--output-dir", str(folder)]
    options = recorded_options(values)
    for field in fields(PrepareOptions):
        value = options.get(field.name)
        if isinstance(value, str | int | float) and value != field.default:
            parts += [f"--{field.name.replace('_', '-')}", str(value)]
    return shell_command(*parts)


def recorded_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `prepare` that a `meta.json` names; `titles` of an earlier version, which had none, is
    `as_given`."""
    named = values.get("options")
    return {"titles": "as_given"} | (named if isinstance(named, dict) else {})


def _titles(values: Mapping[str, Any]) -> Titles:
    found = recorded_options(values)["titles"]
    if found not in get_args(Titles):
        raise ValueError(f"`options.titles` is {found!r}")
    return cast(Titles, found)


def _read_object(path: Path) -> dict[str, Any]:
    command = shell_command(*_PREPARE, path.parent)
    again = f"Move {path.parent} away and prepare it again: {command}"
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        message = f"{path.parent} is not a prepared dataset: there is no {path}."
        raise DataError(message, f"Prepare it: {command}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", f"{what_helps(error).capitalize()}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}.", again) from None
    if not isinstance(values, dict):
        raise DataError(f"{path} is damaged: it is not a JSON object.", again)
    return values


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"`{key}` is not an object")
    return value


def _at_least(values: Mapping[str, Any], key: str, least: int) -> int:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{key}` is not a whole number from {least}")
    return value


def _number(values: Mapping[str, Any], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"`{key}` is not a number")
    return float(value)


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is not text")
    return value


def _all_facts(values: Mapping[str, Any]) -> dict[str, FileFacts]:
    files = _object(values, "files")
    return {name: _file_facts(files, name) for name in files}


def _file_facts(files: Mapping[str, Any], name: str) -> FileFacts:
    facts = _object(files, name)
    return FileFacts(_at_least(facts, "bytes", 0), _text(facts, "sha256"))
