"""Opening a zip of ratings: only its ratings and films leave it.

The folders inside an archive are never used as paths, so no member can be written elsewhere; sizes are bounded before
and while unpacking, so a small archive cannot fill the disk.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from movielora.errors import DataError, what_helps
from movielora.progress import Reporter
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


def members(archive: Path) -> list[zipfile.ZipInfo]:
    """The files in a zip, folders left out. Raises DataError if it is no sound zip."""
    with _opened(archive) as opened:
        return [member for member in opened.infolist() if not member.is_dir()]


@contextmanager
def unpacked(
    archive: Path, wanted: Mapping[str, zipfile.ZipInfo], scratch: Path | None, reporter: Reporter
) -> Iterator[dict[str, SourceFile]]:
    """The `wanted` members under the names they are asked for by, in a folder that is removed afterwards.

    The names are file names of ours, or taken from the archive without any folder.

    Raises:
        DataError: it is no sound zip, needs a password, or unpacks to more than ratings can be.
    """
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=scratch) as folder:
        files = {
            name: SourceFile(Path(folder) / name, f"{archive}: {member.filename}") for name, member in wanted.items()
        }
        with _opened(archive) as opened:
            total = sum(member.file_size for member in wanted.values())
            with reporter.phase("Unpacking", total // 1000, "kB") as phase:
                done = 0
                phase.update(done)
                for name, member in wanted.items():
                    file = files[name]
                    _refuse_bomb(file.shown, member)
                    _refuse_full_disk(file, member)
                    with opened.open(member) as packed, file.path.open("wb") as out:
                        while chunk := packed.read(_CHUNK):
                            out.write(chunk)
                            done += len(chunk)
                            phase.update(done // 1000)
        yield files


def member_hashes(archive: Path, wanted: Mapping[str, zipfile.ZipInfo]) -> dict[str, str]:
    """The SHA-256 of each of the `wanted` members, by the names they are asked for by; nothing is written.

    Raises:
        DataError: as `unpacked`.
    """
    hashes = {}
    with _opened(archive) as opened:
        for name, member in wanted.items():
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
    except OSError as error:  # of the zip, or of the place where it is unpacked
        problem = f"{error.filename or archive} cannot be read or unpacked: {error.strerror or error}."
        raise DataError(problem, f"{what_helps(error).capitalize()}.") from error


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
