"""Read the genres of films from a dataset folder."""

from __future__ import annotations

from movielora.evaluation.features.files import SplitFiles
from movielora.scoring.predictions import read_objects


def read_genres(files: SplitFiles) -> dict[str, tuple[str, ...]]:
    """Genres by movie_id, as text; empty if the dataset has no `movies.jsonl` or a line has no genres.

    Raises DataError if the file exists and is not JSONL.
    """
    path = files.folder / "movies.jsonl"
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for _, film in read_objects(path, "run movielora prepare again"):
        genres = film.get("genres")
        if isinstance(genres, list):
            found[str(film.get("movie_id"))] = tuple(str(genre) for genre in genres)
    return found
