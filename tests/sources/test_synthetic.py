"""Synthetic ratings: real files, the same for a seed, and something to learn in them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from movielora.dataset.options import PrepareOptions
from movielora.examples.importers.rendered_text import parse_films
from movielora.preparation.prepare import prepare
from movielora.sources.catalogue import read_source
from movielora.sources.synthetic import SyntheticSize, synthetic_titles, write_synthetic_movielens

SMALL = SyntheticSize(users=20, films=60, least_ratings=20, mean_ratings=30)


def test_a_seed_gives_its_files_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_synthetic_movielens(tmp_path / name, SMALL, seed)
    for file in ("ratings.csv", "movies.csv"):
        first, again, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert first == again
        assert first != other


def test_the_files_are_those_of_movielens(tmp_path: Path) -> None:
    write_synthetic_movielens(tmp_path, SMALL)
    read = read_source(tmp_path)
    assert read.layout == "csv"
    assert len(read.films) == 60
    ratings = read.frame
    assert ratings["user_id"].unique().sort().to_list() == list(range(1, 21))
    assert ratings.group_by("user_id").len()["len"].min() >= 20
    assert ratings.select("user_id", "movie_id").is_duplicated().sum() == 0
    assert set(ratings["rating"].to_list()) <= {half / 2 for half in range(1, 11)}
    assert ratings.select("user_id", "movie_id").equals(
        ratings.sort("user_id", "movie_id").select("user_id", "movie_id")
    )
    with (tmp_path / "movies.csv").open() as file:
        assert next(csv.reader(file)) == ["movieId", "title", "genres"]
    assert re.fullmatch(r"1,\d+,\d\.\d,\d{9,10}", (tmp_path / "ratings.csv").read_text().splitlines()[1])
    assert all(re.fullmatch(r".+ \(\d{4}\)", movie.title) and movie.genres for movie in read.films.values())


def test_users_in_blocks_are_still_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movielora.sources.synthetic._BLOCK_CELLS", 60 * 7)
    write_synthetic_movielens(tmp_path, SMALL)
    users = read_source(tmp_path).frame["user_id"].to_list()
    assert users == sorted(users)
    assert set(users) == set(range(1, 21))


def test_titles_are_different(tmp_path: Path) -> None:
    titles = synthetic_titles(2000, seed=5)
    assert len(set(titles)) == 2000
    assert titles == synthetic_titles(2000, seed=5)


def test_leniency_and_films_can_both_be_learnt(tmp_path: Path) -> None:
    """The like-share of the history alone has AUC .70 to .78; what is known of the film adds to the history's mean."""
    write_synthetic_movielens(tmp_path / "source")
    folder = tmp_path / "set"
    prepare(tmp_path / "source", folder, PrepareOptions(history_len=8))
    movies = {row["item"]: row for row in pl.read_parquet(folder / "films.parquet").iter_rows(named=True)}
    rate = {movie: (row["train_likes"] + 2.5) / (row["train_ratings"] + 5) for movie, row in movies.items()}
    train = json.loads((folder / "train.json").read_text())
    test = [json.loads(line) for line in (folder / "test_raw.jsonl").open()]
    test_rated = [row["history_ratings"] for row in test]
    liked = [row["label"] == "Yes" for row in test]
    shares = [sum(rating >= 4 for rating in rated) / len(rated) for rated in test_rated]
    assert 0.70 <= roc_auc_score(liked, shares) <= 0.78
    assert 0.35 <= sum(liked) / len(liked) <= 0.65

    def auc(columns: int) -> float:
        seen = [
            [sum(rated) / len(rated), rate[row["movie_id"]]][:columns]
            for row, rated in zip(test, test_rated, strict=True)
        ]
        answers = [row["output"] == "Yes" for row in train]
        known = [([film.rating for film in parse_films(row["input"])[0]], row["movie_id"]) for row in train]
        model = LogisticRegression().fit([[sum(r) / len(r), rate[movie]][:columns] for r, movie in known], answers)
        return float(roc_auc_score(liked, model.decision_function(seen)))

    assert auc(2) > auc(1) + 0.02
