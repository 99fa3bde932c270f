"""The files of a source, in a folder or in a zip, level by level from the top: the nearest ones are meant.

Names are compared without case, and what macOS puts beside files (`__MACOSX`, `._ratings.csv`) is passed over.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from movielora.progress import Reporter
from movielora.sources.archive import is_archive, member_hashes, members, unpacked
from movielora.sources.source_file import SourceFile
from movielora.storage.hashing import file_sha256

# A folder of ratings in a folder of the same name, as unpacking on Windows leaves it, in the folder that is given.
_DEEPEST_FOLDER = 2
_OF_MACOS = "__MACOSX"


@dataclass(frozen=True)
class Listed:
    """A file of a source: where it is, as a path or as a member of a zip.

    `folders` are the names of the folders between the source and the file, from the top; `name` is the file's.
    """

    folders: tuple[str, ...]
    name: str
    at: Path | zipfile.ZipInfo

    @property
    def shown(self) -> str:
        """The file's path inside the source."""
        return "/".join((*self.folders, self.name))


def nearest(source: Path, is_wanted: Callable[[str], bool]) -> list[Listed]:
    """The wanted files on the level nearest the top of a folder or zip, ordered; empty if there is none.

    `is_wanted` gets each name in small letters. Raises OSError if the folder, DataError if the zip cannot be read.
    """
    for level in _levels(source):
        if found := [file for file in level if is_wanted(file.name.lower())]:
            return sorted(found, key=lambda file: (file.folders, file.name))
    return []


def beside(source: Path, file: Listed, name: str) -> Listed | None:
    """The file called `name`, in any case, in the folder of `file`; the exact name wins."""
    for level in _levels(source):
        if neighbours := [other for other in level if other.folders == file.folders]:
            found = [other for other in neighbours if other.name.lower() == name.lower()]
            return max(found, key=lambda other: other.name == name, default=None)
    return None


@contextmanager
def opened(
    source: Path, files: Mapping[str, Listed], scratch: Path | None, reporter: Reporter
) -> Iterator[dict[str, SourceFile]]:
    """The `files` of a folder or zip by the names they are asked for by; of a zip they are unpacked below `scratch`.

    Raises DataError as `unpacked`.
    """
    if members := _members(files):
        with unpacked(source, members, scratch, reporter) as found:
            yield found
    else:
        yield {name: SourceFile(path, str(path)) for name, path in _paths(files).items()}


def hash_files(source: Path, files: Mapping[str, Listed]) -> dict[str, str]:
    """The SHA-256 of each of the `files` by its name; nothing is unpacked. Raises DataError as `opened`."""
    if members := _members(files):
        return member_hashes(source, members)
    return {name: file_sha256(path) for name, path in _paths(files).items()}


def _members(files: Mapping[str, Listed]) -> dict[str, zipfile.ZipInfo]:
    return {name: file.at for name, file in files.items() if isinstance(file.at, zipfile.ZipInfo)}


def _paths(files: Mapping[str, Listed]) -> dict[str, Path]:
    return {name: file.at for name, file in files.items() if isinstance(file.at, Path)}


def _levels(source: Path) -> Iterator[list[Listed]]:
    """The files of the source, then those of its folders, and so on."""
    if is_archive(source):
        yield from _levels_of_archive(source)
    else:
        yield from _levels_of_folder(source)


def _levels_of_archive(archive: Path) -> Iterator[list[Listed]]:
    files = []
    for member in members(archive):
        # Windows' own packer once wrote backslashes, which zipfile keeps; others write `./`
        parts = [part for part in member.filename.replace("\\", "/").split("/") if part not in ("", ".")]
        *folders, name = parts or [""]
        if name and not name.startswith(".") and _OF_MACOS not in folders:
            files.append(Listed(tuple(folders), name, member))
    for depth in sorted({len(file.folders) for file in files}):
        yield [file for file in files if len(file.folders) == depth]


def _levels_of_folder(folder: Path) -> Iterator[list[Listed]]:
    level: list[tuple[tuple[str, ...], Path]] = [((), folder)]
    for depth in range(_DEEPEST_FOLDER + 1):
        entries = [
            (folders, entry)
            for folders, path in level
            for entry in _entries(path, may_fail=depth > 0)
            if not entry.name.startswith(".") and entry.name != _OF_MACOS
        ]
        yield [Listed(folders, entry.name, Path(entry.path)) for folders, entry in entries if entry.is_file()]
        level = [((*folders, entry.name), Path(entry.path)) for folders, entry in entries if entry.is_dir()]


def _entries(folder: Path, *, may_fail: bool) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing if it `may_fail` and cannot be listed, as others' folders below the source."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        if may_fail:
            return []
        raise
