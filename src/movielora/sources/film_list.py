"""Films by id, gathered from the lines of a file; a film that two lines list otherwise is refused."""

from __future__ import annotations

from typing import Generic, TypeVar

from movielora.progress import Reporter
from movielora.sources.ratings import Movie
from movielora.sources.source_file import SourceFile
from movielora.sources.titles import one_line

Id = TypeVar("Id", int, str)


class FilmList(Generic[Id]):
    """`films` by id, in the file's order; `repeats` counts the lines that say again what an earlier one says."""

    def __init__(self, file: SourceFile) -> None:
        self.films: dict[Id, Movie] = {}
        self.repeats = 0
        self._file = file
        self._lines: dict[Id, int] = {}

    def add(self, line: int, film_id: Id, title: str, genres: tuple[str, ...]) -> None:
        """Add the film of line `line`; one with an empty title is left out.

        Raises:
            DataError: an earlier line gives this id another title or other genres.
        """
        film = Movie(one_line(title), genres)
        if not film.title:
            return
        former = self.films.setdefault(film_id, film)
        first = self._lines.setdefault(film_id, line)
        if former != film:
            raise self._file.mistake(
                line,
                f"film {film_id!r} is {_in_words(film, former)} here and {_in_words(former, film)} in line {first}.",
                "Remove the wrong line, or give one of the two films another id.",
            )
        self.repeats += line != first

    def note_repeats(self, reporter: Reporter) -> None:
        """Report how many lines were counted once with the line that they repeat."""
        if self.repeats:
            lines = "1 line repeats" if self.repeats == 1 else f"{self.repeats:,} lines repeat"
            reporter.note(f"{lines} a film of {self._file.shown} with the same title and genres: each film counts once")


def _in_words(film: Movie, other: Movie) -> str:
    """What tells a film from the other: its title, or its genres if they have one title."""
    if film.title != other.title:
        return repr(film.title[:80])
    return f"of the genres {'|'.join(film.genres)[:80]}" if film.genres else "without genres"
