"""The sources of ratings that `prepare` reads. A new one is a new module with a `SOURCE`, and one line here."""

from __future__ import annotations

from pathlib import Path

from movielora.errors import DataError, what_helps
from movielora.progress import SILENT, Reporter
from movielora.sources import recbole
from movielora.sources.archive import is_archive
from movielora.sources.listing import nearest
from movielora.sources.movielens import read as movielens
from movielora.sources.ratings import Ratings, Source

SOURCES: tuple[Source, ...] = (
    movielens.SOURCE,
    recbole.SOURCE,
)
_GET_ONE = "Give a folder or zip of MovieLens, or fetch one: movielora prepare --download ml-latest-small"


def read_source(path: Path, scratch: Path | None = None, reporter: Reporter = SILENT) -> Ratings:
    """Read the ratings at `path`, a file or a folder, with the source that it belongs to.

    Raises:
        DataError: there is nothing there, no source or more than one claims it, or a file holds a mistake.
    """
    return _source_of(path).read(path, scratch, reporter)


def hash_source(path: Path, reporter: Reporter = SILENT) -> dict[str, str]:
    """The SHA-256 of each file of ratings at `path`, by its name: what `read_source` gives as `hashes`.

    Raises:
        DataError: there is nothing there, no source or more than one claims it, or it cannot be read.
    """
    source = _source_of(path)
    with reporter.phase(f"Checking {path.name}"):
        return source.hash_files(path)


def _source_of(path: Path) -> Source:
    """The source whose files lie nearest to `path`."""
    try:
        if not path.exists():
            raise DataError(f"{path} does not exist.", _GET_ONE)
        levels = [(level, source) for source in SOURCES if (level := source.level_of(path)) is not None]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", f"{what_helps(error).capitalize()}.") from error
    claims = [source for level, source in levels if level == min(level for level, _ in levels)]
    if len(claims) > 1:
        found = " and of ".join(f"{source.name} ({source.looked_for})" for source in claims)
        raise DataError(f"{path} holds files of {found}.", "Give the file of ratings itself as --source.")
    if not claims:
        raise _nothing_found(path)
    return claims[0]


def _nothing_found(path: Path) -> DataError:
    looked_for = ", ".join(f"{source.looked_for} ({source.name})" for source in SOURCES)
    if path.is_file() and is_archive(path):
        if inner := nearest(path, lambda name: name.endswith(".zip")):
            names = ", ".join(file.shown for file in inner)
            return DataError(f"{path} holds no ratings but another zip ({names}).", "Unpack it, and give that zip.")
        return DataError(f"{path} holds no ratings: looked for {looked_for}.", f"Unpack it and look. {_GET_ONE}")
    problem = "holds no ratings" if path.is_dir() else "is neither a folder nor a zip nor a file of ratings"
    return DataError(f"{path} {problem}: looked for {looked_for}.", _GET_ONE)
