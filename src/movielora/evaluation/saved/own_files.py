"""The page and the exports in a comparison folder: written again only if they are as movielora wrote them.

`.written.json` has the hashes of each by name. A file that a person edited, or that another program put there, is not
replaced.
"""

from __future__ import annotations

from pathlib import Path

from movielora.errors import OutputError, shell_command, what_helps
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.storage.atomic import read_json, write_json_atomically, write_text_atomically
from movielora.storage.hashing import file_sha256, text_sha256

# What every page has that was written before hashes were kept.
_PAGE_BEGINS, _PAGE_HOLDS = b"<!doctype html>", b'<script type="application/json" id="data">'


def write_own(folder: ComparisonFolder, path: Path, text: str) -> None:
    """Write `path` in the folder. Raises OutputError if a file is there that movielora did not write, or that was
    changed since."""
    if (path.exists() or path.is_symlink()) and not _is_own(folder, path):
        moved = path.with_name(f"my-{path.name}")
        raise OutputError(
            f"{path} is not as movielora wrote it, so it is not replaced", shell_command("mv", path, moved)
        )
    written = read_json(folder.written) or {}
    known = written.get(path.name)
    last = known[-1:] if isinstance(known, list) else []
    try:
        # Before the file: a kill between the two must not make it foreign.
        write_json_atomically(folder.written, written | {path.name: [*last, text_sha256(text)]}, durable=False)
        write_text_atomically(path, text, durable=False, private=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", what_helps(error)) from None


def remove_own(folder: ComparisonFolder, path: Path) -> None:
    """Remove `path` if it is as movielora wrote it. Raises OSError."""
    if path.is_file() and _is_own(folder, path):
        path.unlink()


def _is_own(folder: ComparisonFolder, path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    known = (read_json(folder.written) or {}).get(path.name)
    if isinstance(known, list):
        return file_sha256(path) in known
    return path == folder.report and _looks_like_a_page(path)


def _looks_like_a_page(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(_PAGE_BEGINS) and _PAGE_HOLDS in content
