"""The recipe of `prepare`: MovieLens in, a dataset folder out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora import __version__
from movielora.dataset.folder import (
    META,
    MOVIES,
    RecordFile,
    read_dataset_info,
    register_dataset,
    split_file,
    staged_folder,
)
from movielora.dataset.options import PrepareOptions
from movielora.dataset.statistics import duplicate_ratings, positive_rates, tie_rate, time_leak
from movielora.dataset.timelines import SPLITS, Splits, Timelines, build_timelines, split_examples
from movielora.preparation.export import ExampleWriter, untitled
from movielora.progress import SILENT, Reporter
from movielora.sources.movie_files import Movie
from movielora.sources.movielens import MovieLens, read_movielens
from movielora.storage.atomic import write_json_atomically


@dataclass(frozen=True)
class Prepared:
    """Where the dataset lies, its name for `dataset:` in a config, and what `meta.json` says of it."""

    output_dir: Path
    dataset: str
    meta: dict[str, Any]


def prepare(source: Path, output_dir: Path, options: PrepareOptions, reporter: Reporter = SILENT) -> Prepared:
    """Read MovieLens from `source` and write the dataset folder `output_dir` and its entry beside it.

    The same source and options give the same bytes. Nothing is left half-written after an error or Ctrl-C.

    Raises:
        DataError: the source is missing, holds a mistake, or a split would be empty.
        OutputError: the folder cannot be written.
    """
    read_dataset_info(output_dir)  # refuse a broken one before the work and not after it
    with staged_folder(output_dir, reporter) as folder:
        movielens = read_movielens(source, scratch=folder, reporter=reporter)
        with reporter.phase("Ordering timelines", len(movielens.ratings), "ratings") as phase:
            timelines = build_timelines(movielens.ratings)
            splits = split_examples(timelines, options)
            phase.advance(len(timelines.movie_id))
        meta = _describe(source, movielens, timelines, splits, options)
        meta |= _write_splits(folder, timelines, movielens.movies, splits, options, reporter)
        _write_movies(folder / MOVIES, movielens.movies, timelines, splits, options)
        write_json_atomically(folder / META, meta, private=False, indent=2)
    dataset = register_dataset(output_dir, options.format)
    _warn(meta, reporter)
    return Prepared(output_dir, dataset, meta)


def _write_splits(
    folder: Path,
    timelines: Timelines,
    movies: Mapping[int, Movie],
    splits: Splits,
    options: PrepareOptions,
    reporter: Reporter,
) -> dict[str, Any]:
    writer = ExampleWriter(timelines, movies, options.history_len, options.rating_threshold)
    content, files = hashlib.sha256(), {}
    total = sum(len(events) for events in splits.events.values())
    with reporter.phase("Writing examples", total, "examples") as phase:
        for split in SPLITS:
            name = split_file(split, options.format)
            with RecordFile(folder / name, content) as file:
                write = writer.write_raw if split == "test" else writer.write_training
                write(file, splits.events[split], phase)
            files[name] = {"bytes": file.size, "sha256": file.sha256}
    return {"content_sha256": content.hexdigest(), "files": files}


def _write_movies(
    path: Path, movies: Mapping[int, Movie], timelines: Timelines, splits: Splits, options: PrepareOptions
) -> None:
    """One film a line: its title and genres, and how often a training example asks about it and is answered Yes."""
    train = splits.events["train"]
    asked = Counter(timelines.movie_id[train].tolist())
    liked = Counter(timelines.movie_id[train[timelines.rating[train] >= options.rating_threshold]].tolist())
    rated = np.unique(timelines.movie_id).tolist()
    lines = []
    for movie_id in sorted({*movies, *rated}):
        movie = movies.get(movie_id, Movie(untitled(movie_id), ()))
        row = {"movie_id": movie_id, "title": movie.title, "genres": movie.genres}
        row |= {"train_ratings": asked[movie_id], "train_likes": liked[movie_id]}
        lines.append(json.dumps(row, ensure_ascii=False))
    with RecordFile(path, hashlib.sha256()) as file:
        file.add(lines)


def _describe(
    source: Path, movielens: MovieLens, timelines: Timelines, splits: Splits, options: PrepareOptions
) -> dict[str, Any]:
    """Everything of `meta.json` but the files: counts, shares 0 to 1, hashes, options."""
    counts = {name: len(splits.events[name]) for name in SPLITS}
    rated, ratings_each = np.unique(timelines.movie_id, return_counts=True)
    without_title = ~np.isin(rated, np.fromiter(movielens.movies, dtype=np.int64, count=len(movielens.movies)))
    leak = time_leak(timelines, splits)
    examples = sum(counts.values())
    return {
        "movielora_version": __version__,
        "source": {"path": str(source), "layout": movielens.layout, "sha256": movielens.hashes},
        "options": asdict(options),
        "split": options.split,
        "history_len": options.history_len,
        "rating_threshold": options.rating_threshold,
        "seed": options.seed,
        "counts": counts,
        "positive_rate": positive_rates(timelines, splits, options.rating_threshold),
        "users": len(timelines.users) - splits.users_dropped,
        "users_dropped": splits.users_dropped,
        "movies": len(rated),
        "movies_listed": len(movielens.movies),
        "movies_untitled": int(without_title.sum()),
        "ratings": len(timelines.movie_id),
        "ratings_untitled": int(ratings_each[without_title].sum()),
        "ratings_repeated": duplicate_ratings(timelines),
        "ratings_not_asked": {
            "history_only": len(timelines.movie_id) - examples - splits.over_max_per_user - splits.over_max_eval,
            "over_max_per_user": splits.over_max_per_user,
            "over_max_eval": splits.over_max_eval,
        },
        "tie_rate": tie_rate(timelines),
        "cross_user_time_leak": leak.any_later,
        "later_train_share": leak.mean_later,
    }


def _warn(meta: dict[str, Any], reporter: Reporter) -> None:
    for split, rate in meta["positive_rate"].items():
        if rate in (0.0, 1.0):
            word = "Yes" if rate else "No"
            reporter.warn(
                f"Every {split} answer is {word}: --rating-threshold {meta['rating_threshold']:g} fits badly."
            )
