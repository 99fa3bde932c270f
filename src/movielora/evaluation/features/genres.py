"""Read the genres of films from a dataset folder: `films.parquet`, in an older one `movies.jsonl`."""

from __future__ import annotations

from movielora.dataset.dataset import read_dataset_films
from movielora.dataset.names import FILMS
from movielora.evaluation.features.files import SplitFiles
from movielora.scoring.predictions import read_objects


def read_genres(files: SplitFiles) -> dict[str, tuple[str, ...]]:
    """Genres by movie_id, as text; empty if the dataset has no file of films or a line has no genres.

    Raises DataError if the file exists and is damaged.
    """
    if (files.folder / FILMS).is_file():
        films = read_dataset_films(files.folder)
        return {str(film): genres for film, genres in zip(films.ids.tolist(), films.genres, strict=True)}
    path = files.folder / "movies.jsonl"
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for _, film in read_objects(path, "run movielora prepare again"):
        genres = film.get("genres")
        if isinstance(genres, list):
            found[str(film.get("movie_id"))] = tuple(str(genre) for genre in genres)
    return found
