"""The files in a comparison folder: replaced or removed only if they are as movielora wrote them.

`.written.json` has the hashes of each by name. A file that a person edited, or that another program put there, is not
replaced. A file without a hash must look like what movielora writes there: predictions that are still growing, whose
list is empty, and the files of earlier versions, which did not list results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from movielora.errors import OutputError, shell_command, what_helps
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.storage.atomic import read_json, write_json_atomically, write_text_atomically
from movielora.storage.hashing import file_sha256, text_sha256

# What every page has that was written before hashes were kept.
_PAGE_BEGINS, _PAGE_HOLDS = b"<!doctype html>", b'<script type="application/json" id="data">'
# What the JSON results of every version hold, by name.
_HOLDS = {
    "comparison.json": {"buckets", "difference", "models", "verdict"},
    "rows.json": {"baselines", "best_baseline", "slices"},
    "made_from.json": {"files", "from", "rows"},
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn OSError into OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", what_helps(error)) from None


def write_own(folder: ComparisonFolder, path: Path, text: str) -> None:
    """Write `path` in the folder. Raises OutputError if a file is there that movielora did not write, or that was
    changed since."""
    _refuse_foreign(folder, path)
    written = read_json(folder.written) or {}
    last = _hashes(written, path.name)[-1:]
    with writing(path):
        # Before the file: a kill between the two must not make it foreign.
        write_json_atomically(folder.written, written | {path.name: [*last, text_sha256(text)]}, durable=False)
        write_text_atomically(path, text, durable=False, private=False)


def write_own_json(folder: ComparisonFolder, path: Path, value: Any) -> None:
    """Write `path` as one line of JSON; as `write_own`. NaN must be None already."""
    write_own(folder, path, json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def write_own_lines(folder: ComparisonFolder, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `path` as one JSON object a line; as `write_own`."""
    write_own(folder, path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def grow_own(folder: ComparisonFolder, path: Path) -> None:
    """List `path` as one that is going to grow line by line. Raises OutputError as `write_own`."""
    _refuse_foreign(folder, path)
    if path.exists():
        return
    written = read_json(folder.written) or {}
    with writing(folder.written):
        write_json_atomically(folder.written, written | {path.name: []}, durable=False)


def list_written(folder: ComparisonFolder) -> None:
    """List the results that are there now, complete, by their hashes, and no others. Raises OSError."""
    results = folder.result_files()
    others = {
        name: known
        for name, known in (read_json(folder.written) or {}).items()
        if name not in {path.name for path in results}
    }
    ours = {path.name: [file_sha256(path)] for path in results if _is_own(folder, path)}
    write_json_atomically(folder.written, others | ours, durable=False)


def adopt_list(folder: ComparisonFolder, new: ComparisonFolder) -> None:
    """Take over the list of `new`, whose files are about to replace those in `folder`. Those of both are known until
    `list_written`. Raises OSError."""
    for each in (folder, new):  # earlier versions listed no results, and some grew line by line
        list_written(each)
    ours, theirs = read_json(folder.written) or {}, read_json(new.written) or {}
    both = {name: [*_hashes(ours, name), *_hashes(theirs, name)] for name in theirs}
    write_json_atomically(folder.written, ours | both)
    new.written.unlink(missing_ok=True)


def strangers_in(folder: ComparisonFolder) -> list[str]:
    """Names of the files that have the name of a result and are not as movielora wrote them. Raises OSError."""
    there = [path for path in folder.result_files() if path.exists() or path.is_symlink()]
    return [path.name for path in there if not _is_own(folder, path)]


def remove_own(folder: ComparisonFolder, path: Path) -> None:
    """Remove `path` if it is as movielora wrote it. Raises OSError."""
    if path.is_file() and _is_own(folder, path):
        path.unlink()


def _hashes(written: Mapping[str, Any], name: str) -> list[Any]:
    found = written.get(name)
    return found if isinstance(found, list) else []


def _refuse_foreign(folder: ComparisonFolder, path: Path) -> None:
    if (path.exists() or path.is_symlink()) and not _is_own(folder, path):
        moved = path.with_name(f"my-{path.name}")
        raise OutputError(
            f"{path} is not as movielora wrote it, so it is not replaced", shell_command("mv", path, moved)
        )


def _is_own(folder: ComparisonFolder, path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    written = read_json(folder.written) or {}
    if known := _hashes(written, path.name):
        return file_sha256(path) in known
    lists_results = folder.inputs.name in written
    is_result = path in folder.result_files()
    return _looks_own(folder, path) and (path.name in written or not (is_result and lists_results))


def _looks_own(folder: ComparisonFolder, path: Path) -> bool:
    if path == folder.report:
        return _looks_like_a_page(path)
    if path.name in _HOLDS:
        return _looks_like_json_of(path, _HOLDS[path.name])
    # inputs.json is written once, and read strictly before anything is.
    return path == folder.inputs or (path in folder.result_files() and _looks_like_predictions(path))


def _looks_like_a_page(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(_PAGE_BEGINS) and _PAGE_HOLDS in content


def _looks_like_json_of(path: Path, holds: set[str]) -> bool:
    value = _object_in(path.read_bytes())
    return value is not None and holds <= value.keys()


def _looks_like_predictions(path: Path) -> bool:
    """Whether every whole line is a row with scores; a last one may be cut short."""
    with path.open("rb") as file:
        return all(_is_row(line) if line.endswith(b"\n") else line[:8] == b'{"row": '[: len(line)] for line in file)


def _is_row(line: bytes) -> bool:
    row = _object_in(line)
    if row is None or not {"row", "label"} <= row.keys():
        return False
    scores = [value for value in row.values() if isinstance(value, dict)]
    return any({"log_odds", "answer_mass", "prediction"} <= score.keys() for score in scores)


def _object_in(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
