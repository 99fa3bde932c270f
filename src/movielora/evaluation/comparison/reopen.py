"""Reopen a finished comparison: while nothing that it was made from has changed, it is read, not made again.

`made_from.json` has everything that the figures depend on, by hash, and the hashes of the files that hold them. The
scores' own inputs.json cannot decide this at once: it needs the tokenizer and the device, and these a model library.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import movielora
from movielora.dataset.meta import is_prepared
from movielora.dataset.names import FILMS, INTERACTIONS, META
from movielora.evaluation.comparison.provenance import versions
from movielora.evaluation.comparison.request import AdapterAndBase, CompareRequest, ExternalOnly, TwoRuns
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.saved.comparison_json import read_comparison
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import list_written, write_own_json, writing
from movielora.examples.load import ExampleLoader
from movielora.model.base import base_of_config
from movielora.model.folder import base_hash
from movielora.progress import Phase, Reporter
from movielora.runs.paths import PROMPT_NAME, RunPaths
from movielora.storage.atomic import read_json
from movielora.storage.hashing import file_sha256

# Where a comparison goes, and what happens to another one there, does not change its figures.
_NOT_COMPARED = ("kind", "output_dir", "overwrite")


@dataclass
class Listening:
    """A reporter that remembers what it was warned of: the next command that reads the comparison repeats it."""

    reporter: Reporter
    warnings: list[str] = field(default_factory=list)

    def phase(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Phase]:
        return self.reporter.phase(name, total, unit)

    def note(self, text: str) -> None:
        self.reporter.note(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.reporter.warn(text)


def reopen(request: CompareRequest, files: SplitFiles, reporter: Listening) -> dict[str, Any] | None:
    """The comparison in the request's folder if the same would be made again, else None.

    Raises DataError or ModelError if a file that the request names cannot be read.
    """
    folder = ComparisonFolder(request.folder)
    made = read_json(folder.made_from) if folder.comparison.is_file() else None
    if made is None or made.get("files") != _hashes(folder) or made.get("from") != made_from(request, files):
        return None
    for warning in made.get("warnings", []):
        if warning not in reporter.warnings:
            reporter.warn(warning)
    reporter.note(f"All {_rows(made)} rows were scored already, and nothing has changed since")
    return read_comparison(folder) | {"output_dir": str(folder.root)}


def record_source(
    folder: ComparisonFolder, source: dict[str, Any], comparison: dict[str, Any], warnings: list[str]
) -> None:
    """Write beside a finished comparison what it was made from: `source` is what `made_from` gave before it began."""
    value = {"from": source, "files": _hashes(folder), "rows": comparison["samples"], "warnings": warnings}
    write_own_json(folder, folder.made_from, value)
    with writing(folder.written):
        list_written(folder)


def made_from(request: CompareRequest, files: SplitFiles) -> dict[str, Any]:
    """Everything that the figures depend on, as JSON: options, config, data, adapters, base, code and libraries.

    Raises DataError or ModelError if a file cannot be read.
    """
    kind = request.kind
    source: dict[str, Any] = {
        "options": {each.name: _written(getattr(request, each.name)) for each in fields(request)
                    if each.name not in _NOT_COMPARED},
        "kind": type(kind).__name__,
        "data": {name: _data(path) for name, path in files.present().items()},
        "code": _code(),
        "versions": versions(),
    }  # fmt: skip
    for name in ("beside", "test_file"):
        if (named := getattr(request, name)) is not None:
            source[name] = _hash_if_there(named)
    if isinstance(kind, ExternalOnly):
        return source | {"scores": _hash_if_there(kind.scores), "name": kind.scores.stem}
    return source | _models(kind)


def _models(kind: AdapterAndBase | TwoRuns) -> dict[str, Any]:
    values = kind.resolved.values
    base = base_of_config(kind.resolved)
    adapters = [kind.adapter] if isinstance(kind, AdapterAndBase) else [kind.reference, kind.candidate]
    own = {each.name: _written(getattr(kind, each.name)) for each in fields(kind) if each.name != "resolved"}
    return {
        "of_kind": own,
        "config": values.model_dump(mode="json"),
        "set": sorted(key for key, origin in kind.resolved.origins.items() if origin == "--set"),
        "base": [base_hash(base), *(_small_files(Path(base)) if Path(base).is_dir() else [])],
        "adapters": [_adapter(adapter) for adapter in adapters],
    }


def _adapter(folder: Path) -> list[str | None]:
    paths = RunPaths(folder)
    files = [paths.adapter_weights, paths.adapter_config, folder / PROMPT_NAME, paths.config, paths.record]
    files += [paths.trained_rows, RunPaths(folder.resolve().parent).trained_rows]  # a checkpoint's are its run's
    return [_hash_if_there(path) for path in files]


def _small_files(base: Path) -> list[list[str | None]]:
    """Tokenizer, chat template and configs."""
    files = sorted(path for pattern in ("*.json", "*.jinja", "*.txt") for path in base.glob(pattern))
    return [[path.name, _hash_if_there(path)] for path in files]


def _data(path: Path) -> list[str | None]:
    """What a split is read from: a file of records, or the columns that a prepared dataset's meta.json names."""
    columns = [path.parent / name for name in (INTERACTIONS, FILMS)] if is_prepared(path.parent) else []
    content = ExampleLoader().content_hash(path)
    return [content, *(_hash_if_there(each) for each in (path.parent / META, path.parent / "movies.jsonl", *columns))]


def _hash_if_there(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _hashes(folder: ComparisonFolder) -> dict[str, str | None]:
    return {path.name: _hash_if_there(path) for path in (folder.comparison, folder.rows, folder.predictions)}


def _code() -> str:
    """The hash of movielora's own sources: another version of them may measure otherwise."""
    root = Path(movielora.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _written(value: Any) -> Any:
    return str(value.resolve()) if isinstance(value, Path) else json.loads(json.dumps(value, default=str))


def _rows(made: dict[str, Any]) -> str:
    rows = made.get("rows")
    return f"{rows:,}" if isinstance(rows, int) else ""
