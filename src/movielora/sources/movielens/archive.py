"""Opening a zip of MovieLens: only its ratings and films leave it, under names that we choose.

The names inside an archive are never used as paths, so no member can be written elsewhere; sizes are bounded before
and while unpacking, so a small archive cannot fill the disk.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from movielora.errors import DataError
from movielora.progress import Reporter
from movielora.sources.movielens.layouts import LAYOUTS, Layout
from movielora.sources.source_file import SourceFile

# MovieLens 32M unpacks to 0.9 GB of ratings at 4:1; these leave room for ten times that, and stop a bomb.
_MOST_BYTES = 10 * 1024**3
_MOST_RATIO = 200
_RATIO_MATTERS_FROM = 64 * 1024**2
_CHUNK = 1 << 20
_AGAIN = "Fetch it again: movielora prepare --download ml-latest-small"


def is_archive(path: Path) -> bool:
    """Whether `path` is a zip by its name or its content."""
    if path.suffix.lower() == ".zip":
        return True
    try:
        return zipfile.is_zipfile(path)
    except OSError:
        return False


@contextmanager
def unpack_members(
    archive: Path, scratch: Path | None, reporter: Reporter
) -> Iterator[tuple[Layout, SourceFile, SourceFile]]:
    """The ratings and films of `archive`, unpacked into a folder that is removed afterwards.

    Raises:
        DataError: it is no sound zip, holds no ratings, needs a password, or unpacks to more than MovieLens can be.
    """
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=scratch) as folder:
        with _opened(archive) as opened:
            layout, ratings, movies = _wanted(archive, opened)
            files = [
                SourceFile(Path(folder) / name, f"{archive}: {member.filename}")
                for name, member in ((layout.ratings, ratings), (layout.movies, movies))
            ]
            with reporter.phase("Unpacking", (ratings.file_size + movies.file_size) // 1000, "kB") as phase:
                unpacked = 0
                phase.update(unpacked)
                for file, member in zip(files, (ratings, movies), strict=True):
                    _refuse_bomb(file.shown, member)
                    _refuse_full_disk(file, member)
                    with opened.open(member) as packed, file.path.open("wb") as out:
                        while chunk := packed.read(_CHUNK):
                            out.write(chunk)
                            unpacked += len(chunk)
                            phase.update(unpacked // 1000)
        yield layout, files[0], files[1]


def member_hashes(archive: Path) -> dict[str, str]:
    """The SHA-256 of the ratings and of the films of `archive`, by the names of their layout; nothing is written.

    Raises:
        DataError: as `unpack_members`.
    """
    hashes = {}
    with _opened(archive) as opened:
        layout, ratings, movies = _wanted(archive, opened)
        for name, member in ((layout.ratings, ratings), (layout.movies, movies)):
            _refuse_bomb(f"{archive}: {member.filename}", member)
            digest = hashlib.sha256()
            with opened.open(member) as packed:
                while chunk := packed.read(_CHUNK):
                    digest.update(chunk)
            hashes[name] = digest.hexdigest()
    return hashes


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, opened; its faults and those of its members as DataError."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{archive} is not a sound zip: {error}.", _AGAIN) from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a method that zipfile does not know
        raise DataError(f"{archive} cannot be unpacked: {error}.", "Unpack it, and give the folder.") from error
    except PermissionError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _wanted(archive: Path, opened: zipfile.ZipFile) -> tuple[Layout, zipfile.ZipInfo, zipfile.ZipInfo]:
    """The layout and its two members; the folder nearest the top of the archive wins."""
    folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in opened.infolist():
        folder, name = posixpath.split(member.filename)
        if not folder.startswith("__MACOSX"):
            folders.setdefault(folder, {})[name] = member
    nearest = sorted(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))
    for folder in nearest:
        for layout in LAYOUTS:
            if layout.ratings in folders[folder]:
                if layout.movies not in folders[folder]:
                    raise DataError(f"{archive} has {layout.ratings} but no {layout.movies} beside it.", _AGAIN)
                return layout, folders[folder][layout.ratings], folders[folder][layout.movies]
    names = ", ".join(layout.ratings for layout in LAYOUTS)
    raise DataError(
        f"{archive} holds no ratings: none of {names} is in it.", f"Unpack it, and give the folder. {_AGAIN}"
    )


def _refuse_bomb(shown: str, member: zipfile.ZipInfo) -> None:
    # zipfile never yields more than `file_size` bytes of a member, so the declared size is a true bound
    bomb = member.file_size > _RATIO_MATTERS_FROM and member.file_size > _MOST_RATIO * max(1, member.compress_size)
    if bomb or member.file_size > _MOST_BYTES:
        raise DataError(
            f"{shown} would unpack from {member.compress_size:,} to {member.file_size:,} bytes, "
            "which no MovieLens does.",
            "Unpack it yourself if you trust it, and give the folder.",
        )


def _refuse_full_disk(file: SourceFile, member: zipfile.ZipInfo) -> None:
    free = shutil.disk_usage(file.path.parent).free
    if member.file_size > free:
        raise DataError(
            f"{file.shown} needs {member.file_size:,} bytes to unpack and {file.path.parent.parent} has {free:,}.",
            "Free some space, or unpack it elsewhere and give that folder.",
        )
