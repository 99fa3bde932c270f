"""`Dataset.open`: what was written comes back, and a folder that is not sound is refused in one sentence."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from movielora.dataset.columns import read_interactions, write_films, write_interactions
from movielora.dataset.dataset import Dataset
from movielora.dataset.films import films_of, places_among
from movielora.dataset.meta import is_prepared
from movielora.dataset.options import PrepareOptions
from movielora.dataset.splits import SPLITS, split_examples
from movielora.dataset.timelines import build_timelines
from movielora.errors import DataError
from movielora.preparation.prepare import prepare
from movielora.prompt.render import render_input
from movielora.sources.ratings import Movie

OPTIONS = PrepareOptions(history_len=3, max_per_user=20, max_eval=4)


def random_ratings(text_ids: bool = False) -> pl.DataFrame:
    draw = random.Random(1)  # noqa: S311 - no secret
    rows = [
        (user, draw.randrange(90), draw.randrange(1, 11) / 2, draw.randrange(10**9))
        for user in (40, 7, 300, 12)
        for _ in range(draw.randrange(2, 60))
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "movie_id", "rating", "timestamp"], orient="row")
    return frame.with_columns(pl.col("user_id", "movie_id").cast(pl.String)) if text_ids else frame


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    names = {"user_id": "userId", "movie_id": "movieId"}
    random_ratings().rename(names).write_csv(folder / "ratings.csv")
    lines = [f"{film},Film  {film} (1990),Drama|Comedy" for film in range(5, 95)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    prepare(source, tmp_path / "data" / "set", OPTIONS)
    return tmp_path / "data" / "set"


def test_the_columns_are_the_exported_examples(folder: Path) -> None:
    """The reference is the JSON: its records come from the same splits by another way."""
    dataset = Dataset.open(folder)
    dataset.verify()
    timelines, films = dataset.timelines, dataset.films
    assert (timelines.item.dtype, timelines.rating.dtype, timelines.timestamp.dtype) == (
        np.int32,
        np.float64,
        np.int64,
    )
    for split, name in (("train", "train.json"), ("eval", "eval.json"), ("test", "test_raw.jsonl")):
        text = (folder / name).read_text()
        rows = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
        events = dataset.events[split]
        assert len(rows) == len(events) == dataset.meta.counts[split]
        assert (np.diff(events) > 0).all()
        for row, event in zip(rows, events.tolist(), strict=True):
            item = timelines.item[event]
            assert row["user_id"] == timelines.users[timelines.user_index(np.array([event]))[0]]
            assert (row["movie_id"], row["timestamp"]) == (films.ids[item], timelines.timestamp[event])
            assert row.get("output", row.get("label")) == ("Yes" if timelines.rating[event] >= 4 else "No")
            shown = [films.titles[place] for place in timelines.item[event - 3 : event]]
            stars = timelines.rating[event - 3 : event].tolist()
            if split == "test":
                assert (row["history_titles"], row["history_ratings"]) == (shown, stars)
                assert row["candidate_title"] == films.titles[item]
            else:
                assert row["input"] == render_input(shown, stars, films.titles[item])
    assert films.titles[films.ids.tolist().index(7)] == "Film 7 (1990)"
    assert films.genres[films.ids.tolist().index(7)] == ("Drama", "Comedy")
    assert dataset.meta.values["options"]["max_eval"] == 4


def test_the_split_column_says_what_became_of_each_rating(folder: Path, source: Path) -> None:
    frame = pl.read_parquet(folder / "interactions.parquet").with_columns(pl.col("split").cast(pl.String))
    assert frame.columns == ["user", "item", "rating", "time", "split"]
    meta = json.loads((folder / "meta.json").read_text())
    counts = {name: frame.filter(pl.col("split") == name).height for name in (*SPLITS, "history")}
    not_asked = meta["ratings_not_asked"]
    assert counts == meta["counts"] | {"history": not_asked["history_only"]}
    assert frame["split"].null_count() == not_asked["over_max_per_user"] + not_asked["over_max_eval"]
    for (_,), rows in frame.group_by("user"):
        assert rows["time"].is_sorted()
        assert rows["split"].to_list()[:3] == ["history"] * min(3, rows.height)
    assert frame["user"].is_sorted()
    ratings = len((source / "ratings.csv").read_text().splitlines()) - 1
    assert frame.height == ratings - meta["ratings_repeated_dropped"] == 118  # the films are drawn with repeats


@pytest.mark.parametrize("text_ids", [False, True], ids=["numbers", "text"])
def test_columns_come_back_as_they_were(tmp_path: Path, text_ids: bool) -> None:
    ratings = random_ratings(text_ids)
    films = films_of(ratings, {"x" if text_ids else -4: Movie("Never rated", ("Drama",))})
    timelines = build_timelines(ratings, films)
    splits = split_examples(timelines, OPTIONS)
    write_interactions(tmp_path / "i.parquet", timelines, films, splits, 3)
    write_films(tmp_path / "f.parquet", films, np.zeros(len(films), np.int64), np.zeros(len(films), np.int64))
    found, events = read_interactions(tmp_path / "i.parquet", films)
    for name in ("users", "starts", "item", "rating", "timestamp"):
        assert getattr(found, name).dtype == getattr(timelines, name).dtype
        assert getattr(found, name).tolist() == getattr(timelines, name).tolist(), name
    assert {name: rows.tolist() for name, rows in events.items()} == {
        name: rows.tolist() for name, rows in splits.events.items()
    }
    as_text = [str(user) for user in (7, 12, 40, 300)]
    assert found.users.tolist() == (sorted(as_text) if text_ids else [7, 12, 40, 300])


def test_places_of_numbers_near_and_far_and_of_text() -> None:
    near, far = np.array([3, 5, 9]), np.array([3, 5, 10**12])
    assert places_among(near, pl.Series([9, 3, 5, 9])).tolist() == [2, 0, 1, 2]
    assert places_among(far, pl.Series([10**12, 3])).tolist() == [2, 0]
    assert places_among(np.array(["a", "b"], dtype=object), pl.Series(["b", "a"])).tolist() == [1, 0]
    for distinct, unknown in ((near, [4]), (near, [10]), (near, [2]), (far, [6])):
        with pytest.raises(KeyError):
            places_among(distinct, pl.Series(unknown))
    with pytest.raises(KeyError):
        places_among(np.array(["a"], dtype=object), pl.Series(["c"]))


def set_meta(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "meta.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-9])


def overwrite(name: str) -> Callable[[Path], None]:
    """The same size, and nothing but zeros."""
    return lambda folder: (folder / name).write_bytes(b"\0" * (folder / name).stat().st_size)


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda folder: (folder / "meta.json").unlink(), "is not a prepared dataset: there is no "),
        (cut("meta.json"), "meta.json is damaged: "),
        (set_meta(schema_version=3), "meta.json has schema_version 3; this movielora reads 2."),
        (set_meta(schema_version=1), "was prepared by an older movielora and holds JSON files but no columns."),
        (set_meta(history_len="3"), "meta.json is damaged: `history_len` is not a whole number from 1."),
        (set_meta(files={}), "meta.json is damaged: it does not list interactions.parquet."),
        (set_meta(ratings=5), "interactions.parquet is damaged: it does not hold the ratings that meta.json counts."),
        (lambda folder: (folder / "films.parquet").unlink(), "films.parquet cannot be read: No such file"),
        (cut("interactions.parquet"), "bytes and meta.json says"),
        (overwrite("interactions.parquet"), "interactions.parquet is damaged: "),
        (overwrite("films.parquet"), "films.parquet is damaged: "),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(folder: Path, damage: Callable[[Path], None], wanted: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=re.escape(wanted)) as caught:
        Dataset.open(folder)
    assert "\n" not in caught.value.message
    assert caught.value.next_step


def test_the_next_step_makes_the_dataset_again(folder: Path, source: Path, tmp_path: Path) -> None:
    cut("films.parquet")(folder)
    with pytest.raises(DataError) as caught:
        Dataset.open(folder)
    options = "--history-len 3 --max-per-user 20 --max-eval 4"
    command = f"movielora prepare --source {source} --output-dir {folder} {options}"
    damaged = folder / "films.parquet"
    assert caught.value.next_step == f"Move {damaged} away and prepare it again: {command}"
    damaged.rename(tmp_path / "films.parquet")
    prepare(source, folder, OPTIONS)
    Dataset.open(folder).verify()


def test_verify_finds_a_changed_byte(folder: Path) -> None:
    path = folder / "films.parquet"
    content = bytearray(path.read_bytes())
    content[content.index(b"Polars")] += 1  # the name of the writer, which no reader needs
    path.write_bytes(content)
    dataset = Dataset.open(folder)
    with pytest.raises(DataError, match=r"films\.parquet is damaged: its hash differs"):
        dataset.verify()


def test_films_that_are_listed_with_larger_ids_than_the_rated_ones() -> None:
    ratings = random_ratings().with_columns(pl.col("user_id", "movie_id").cast(pl.Int32))
    rated = sorted(ratings["movie_id"].unique().to_list())
    films = films_of(ratings, {5 * 10**9: Movie("Far away", ())})
    assert films.ids.tolist() == [*rated, 5 * 10**9]
    assert films.ids.dtype == np.int64
    assert films_of(ratings, {95: Movie("Near", ())}).ids.dtype == np.int32  # the file stays as it was
    timelines = build_timelines(ratings, films)
    assert sorted(set(films.ids[timelines.item].tolist())) == rated


def test_edited_exports_are_named_and_removed_ones_are_not(folder: Path) -> None:
    dataset = Dataset.open(folder)
    assert dataset.edited_exports() == ()
    train = (folder / "train.json").read_bytes()
    (folder / "train.json").write_bytes(train.replace(b"Film 7", b"Gilm 7", 1))  # the size stays
    (folder / "eval.json").unlink()
    assert dataset.edited_exports() == ("train.json",)
    with (folder / "test_raw.jsonl").open("a") as file:
        file.write("\n")
    assert dataset.edited_exports() == ("train.json", "test_raw.jsonl")


def test_without_an_export_there_is_no_json_and_no_entry_of_it(source: Path, folder: Path) -> None:
    info = folder.parent / "dataset_info.json"
    others = {"mine": {"file_name": "mine.json"}}
    info.write_text(json.dumps(json.loads(info.read_text()) | others))
    prepare(source, folder, PrepareOptions(history_len=3, export="none"), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["films.parquet", "interactions.parquet", "meta.json"]
    assert json.loads(info.read_text()) == others
    assert Dataset.open(folder).edited_exports() == ()


def test_only_a_folder_with_columns_is_prepared(folder: Path, tmp_path: Path) -> None:
    assert is_prepared(folder)
    assert not is_prepared(tmp_path)
    set_meta(schema_version=1)(folder)
    assert not is_prepared(folder)
    set_meta(schema_version=2)(folder)
    assert is_prepared(folder)
    (folder / "interactions.parquet").unlink()
    assert is_prepared(folder)  # a dataset that lost its columns is damaged, which `Dataset.open` reports
    set_meta(files={"train.json": {}})(folder)
    assert not is_prepared(folder)  # another program's meta.json, which has a schema_version too
    shutil.rmtree(folder)
    assert not is_prepared(folder)
