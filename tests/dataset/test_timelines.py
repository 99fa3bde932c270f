"""Timelines, examples and splits, held against small cases worked by hand and a plain loop over random ones."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from movielora.dataset.films import Films
from movielora.dataset.options import PrepareOptions
from movielora.dataset.splits import SPLITS, Splits, held_out, split_examples
from movielora.dataset.statistics import positive_rates, tie_rate, time_leak
from movielora.dataset.timelines import Timelines, build_timelines, drop_repeats
from movielora.errors import ConfigError, DataError
from movielora.preparation.prepare import prepare
from movielora.prompt.render import render_input
from movielora.prompt.spec import INSTRUCTION, SYSTEM

Row = tuple[int, int, float, int]


# The films 0 to 1999, so that a film's place is its id.
ALL_FILMS = Films(np.arange(2000), [f"Film {film}" for film in range(2000)], [()] * 2000)


def timelines_of(*rows: Row) -> Timelines:
    ratings = pl.DataFrame(list(rows), schema=["user_id", "movie_id", "rating", "timestamp"], orient="row")
    return build_timelines(ratings, ALL_FILMS)


def one_user(events: int, user: int = 1, start: int = 0, step: int = 1) -> list[Row]:
    """Films 100, 101, … rated 5 and 1 in turn."""
    return [(user, 100 + event, 5.0 if event % 2 else 1.0, start + event * step) for event in range(events)]


def films(timelines: Timelines, splits: Splits) -> dict[str, list[int]]:
    return {name: timelines.item[splits.events[name]].tolist() for name in SPLITS}


def test_events_are_ordered_by_user_then_time_then_film_then_the_file() -> None:
    timelines = timelines_of((2, 9, 1.0, 5), (1, 8, 2.0, 7), (1, 7, 3.0, 7), (1, 7, 4.0, 7), (1, 9, 5.0, 6))
    assert timelines.users.tolist() == [1, 2]
    assert timelines.starts.tolist() == [0, 4, 5]
    assert timelines.rating.tolist() == [5.0, 3.0, 4.0, 2.0, 1.0]
    assert timelines.user_index(np.array([0, 3, 4])).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("examples", "train", "evaluation", "test"),
    [(1, 0, 0, 1), (2, 0, 1, 1), (3, 1, 1, 1), (19, 17, 1, 1), (20, 17, 1, 2), (40, 34, 2, 4), (100, 85, 5, 10)],
)
def test_a_user_is_split_by_time_with_test_served_first(examples: int, train: int, evaluation: int, test: int) -> None:
    # a second user, with 3 examples of films from 1100 on, keeps the splits from being empty
    second = [(2, movie + 1000, rating, time) for _, movie, rating, time in one_user(5)]
    timelines = timelines_of(*one_user(examples + 2), *second)
    split = films(timelines, split_examples(timelines, PrepareOptions(history_len=2)))
    own = {name: [film for film in split[name] if film < 1000] for name in SPLITS}
    assert own["train"] + own["eval"] + own["test"] == list(range(102, 102 + examples))
    assert [len(own[name]) for name in SPLITS] == [train, evaluation, test]


def test_a_share_meant_exactly_is_not_lost_to_binary_fractions() -> None:
    assert 100 * 0.29 < 29  # the trap
    assert held_out(np.array([100]), 0.29).tolist() == [29]


def test_users_with_at_most_history_len_ratings_are_dropped_and_counted() -> None:
    timelines = timelines_of(*one_user(15, user=1), *one_user(16, user=2), *one_user(20, user=3))
    splits = split_examples(timelines, PrepareOptions())
    assert splits.users_dropped == 1
    assert sum(map(len, splits.events.values())) == 1 + 5


def test_max_per_user_keeps_the_newest_and_splits_what_it_keeps() -> None:
    timelines = timelines_of(*one_user(52), *one_user(6, user=2))
    splits = split_examples(timelines, PrepareOptions(history_len=2, max_per_user=20))
    split = films(timelines, splits)
    assert split["test"][:2] == [150, 151]  # 10% of 20
    assert split["eval"][0] == 149
    assert split["train"][:17] == list(range(132, 149))
    assert splits.over_max_per_user == 30


def test_test_rows_of_a_smaller_cap_are_among_those_of_a_larger_one() -> None:
    timelines = timelines_of(*(row for user in range(1, 9) for row in one_user(40 + 9 * user, user)))
    sets = [
        set(split_examples(timelines, PrepareOptions(max_per_user=cap)).events["test"].tolist())
        for cap in (10, 30, None)
    ]
    assert sets[0] < sets[1] < sets[2]


def test_max_eval_is_a_seeded_sample_in_order() -> None:
    timelines = timelines_of(*(row for user in range(1, 30) for row in one_user(60, user)))
    everything = split_examples(timelines, PrepareOptions()).events["eval"]
    splits = split_examples(timelines, PrepareOptions(max_eval=20))
    kept = splits.events["eval"]
    assert len(kept) == 20
    assert splits.over_max_eval == len(everything) - 20
    assert (np.diff(kept) > 0).all()
    assert set(kept) < set(everything)
    assert kept.tolist() == split_examples(timelines, PrepareOptions(max_eval=20)).events["eval"].tolist()
    assert kept.tolist() != split_examples(timelines, PrepareOptions(max_eval=20, seed=14)).events["eval"].tolist()


def test_global_time_cuts_all_users_at_two_moments() -> None:
    # 20 examples at the seconds 0…19 of two users: test takes the last 2, eval the one before
    rows = one_user(12, user=1, start=-4, step=2) + one_user(12, user=2, start=-3, step=2)
    timelines = timelines_of(*rows)
    splits = split_examples(timelines, PrepareOptions(history_len=2, split="global-time"))
    times = {name: sorted(timelines.timestamp[splits.events[name]].tolist()) for name in SPLITS}
    assert times == {"train": list(range(17)), "eval": [17], "test": [18, 19]}


def test_global_time_puts_ties_at_a_cut_on_the_later_side() -> None:
    # 20 examples; the seconds of the last six are equal, so all six are test although the ratio asks for two
    rows = one_user(16, user=1) + [(1, 200 + event, 3.0, 50) for event in range(6)]
    timelines = timelines_of(*rows)
    splits = split_examples(timelines, PrepareOptions(history_len=2, split="global-time"))
    assert {name: len(events) for name, events in splits.events.items()} == {"train": 13, "eval": 1, "test": 6}


@pytest.mark.parametrize("split", ["user-timeline", "global-time"])
@pytest.mark.parametrize("seed", range(5))
def test_any_data_is_split_without_overlap_and_in_time_order(split: Any, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    rows = [
        (user, draw.randrange(50), draw.choice([1.0, 4.0]), draw.randrange(200))
        for user in range(12)
        for _ in range(draw.randrange(60))
    ]
    timelines = timelines_of(*rows)
    options = PrepareOptions(history_len=4, split=split, max_per_user=draw.choice([None, 12]))
    events = split_examples(timelines, options).events
    together = np.concatenate([events[name] for name in SPLITS])
    assert len(set(together.tolist())) == len(together)
    for user, (start, stop) in enumerate(pairwise(timelines.starts.tolist())):
        own = {name: events[name][(events[name] >= start) & (events[name] < stop)] for name in SPLITS}
        everything = np.concatenate([own[name] for name in SPLITS])
        assert (np.diff(everything) > 0).all(), user  # train, then eval, then test, each in time order
        assert (everything >= start + 4).all()
        if split == "user-timeline" and len(everything):
            assert len(own["test"]) == max(1, math.floor(len(everything) * 0.1))
    if split == "global-time":
        latest = [timelines.timestamp[events[name]].max() for name in ("train", "eval")]
        earliest = [timelines.timestamp[events[name]].min() for name in ("eval", "test")]
        assert latest[0] < earliest[0]
        assert latest[1] < earliest[1]
        assert time_leak(timelines, Splits(events, 0, 0, 0)).any_later == 0


def test_an_empty_split_is_refused_with_its_name() -> None:
    with pytest.raises(DataError, match=r"more than 15 ratings; the longest timeline has 9"):
        split_examples(timelines_of(*one_user(9)), PrepareOptions())
    with pytest.raises(DataError, match=r"split train would be empty \(train 0, eval 1, test 1\)"):
        split_examples(timelines_of(*one_user(17)), PrepareOptions())
    with pytest.raises(DataError, match="split train and eval would be empty") as caught:
        split_examples(timelines_of(*one_user(40)), PrepareOptions(max_per_user=1))
    assert "--max-per-user 3" in caught.value.next_step
    same_second = [(1, film, 3.0, 7) for film in range(40)]
    with pytest.raises(DataError, match="train and eval would be empty"):
        split_examples(timelines_of(*same_second), PrepareOptions(split="global-time"))


def test_options_out_of_range_are_all_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        PrepareOptions(0, math.nan, 0.0, 1.5, max_per_user=0, max_eval=-1, seed=-1)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "--history-len",
        "--rating-threshold",
        "--val-ratio",
        "--test-ratio",
        "--max-per-user",
        "--max-eval",
        "--seed",
    ]
    with pytest.raises(ConfigError) as caught:
        PrepareOptions(val_ratio=0.5, test_ratio=0.5)
    assert "nothing is left to train on" in caught.value.problems[0]


def test_tie_rate_counts_ratings_and_not_pairs_and_stops_at_the_user() -> None:
    timelines = timelines_of((1, 1, 1.0, 5), (1, 2, 1.0, 5), (1, 3, 1.0, 5), (1, 4, 1.0, 9), (2, 1, 1.0, 9))
    assert tie_rate(timelines) == 3 / 5


def test_time_leak_worked_by_hand() -> None:
    # user 1: examples at 2…12, trained up to 10; user 2: at 102…112, trained up to 110
    timelines = timelines_of(*one_user(13, user=1), *one_user(13, user=2, start=100))
    splits = split_examples(timelines, PrepareOptions(history_len=2))
    assert [len(splits.events[name]) for name in SPLITS] == [18, 2, 2]
    leak = time_leak(timelines, splits)
    assert leak.any_later == 1 / 2  # user 1's test row at 12 is before user 2's training; user 2's is the last of all
    assert leak.mean_later == pytest.approx((9 / 18 + 0) / 2)


def test_positive_rates() -> None:
    timelines = timelines_of(*one_user(8), (1, 107, 4.0, 50), (2, 107, 4.0, 50))
    splits = split_examples(timelines, PrepareOptions(history_len=2))
    assert [timelines.rating[splits.events[name]].tolist() for name in SPLITS] == [[1, 5, 1, 5, 1], [5], [4]]
    assert positive_rates(timelines, splits, 4.0) == {"train": 0.4, "eval": 1.0, "test": 1.0}


def test_of_a_film_rated_again_the_last_rating_in_time_counts_and_the_file_decides_ties() -> None:
    timelines, dropped = drop_repeats(
        timelines_of(
            (1, 7, 5.0, 30), (1, 8, 1.0, 20), (1, 7, 2.0, 10), (1, 7, 3.0, 20),  # film 7 at 10, 20 and 30
            (2, 7, 4.0, 10), (2, 9, 1.5, 10), (2, 9, 2.5, 10),  # film 9 twice at one time
            (3, 7, 4.5, 10),
        )
    )  # fmt: skip
    assert dropped == 3
    assert (timelines.users.tolist(), timelines.starts.tolist()) == ([1, 2, 3], [0, 2, 4, 5])
    assert timelines.item.tolist() == [8, 7, 7, 9, 7]
    assert timelines.rating.tolist() == [1.0, 5.0, 4.0, 2.5, 4.5]
    assert timelines.timestamp.tolist() == [20, 30, 10, 10, 10]
    assert drop_repeats(timelines) == (timelines, 0)


def test_repeats_are_found_in_every_block_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)  # noqa: S311 - no secret
    rows = [(draw.randrange(9), draw.randrange(6), draw.randrange(1, 11) / 2, draw.randrange(50)) for _ in range(200)]
    last = {(user, film): (time, stars) for user, film, stars, time in sorted(rows, key=lambda row: row[3])}
    monkeypatch.setattr("movielora.dataset.timelines._BLOCK_USERS", 2)
    timelines, dropped = drop_repeats(timelines_of(*rows))
    users = timelines.users[timelines.user_index(np.arange(len(timelines.item)))].tolist()
    columns = (timelines.timestamp.tolist(), timelines.rating.tolist())
    assert dict(zip(zip(users, timelines.item.tolist(), strict=True), zip(*columns, strict=True), strict=True)) == last
    assert (len(timelines.item), dropped) == (len(last), 200 - len(last))


# What is written


def write_source(folder: Path, rows: list[Row], titles: dict[int, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, row)) for row in rows]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    quoted = {movie: title.replace('"', '""') for movie, title in titles.items()}
    movies = [f'{movie},"{title}",Drama' for movie, title in quoted.items()]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(movies) + "\n")
    return folder


def test_records_are_what_a_plain_loop_over_the_csv_makes(tmp_path: Path) -> None:
    """The reference: sort, window, `render_input`, all by plain Python."""
    draw = random.Random(3)  # noqa: S311 - no secret
    titles = {movie: f'100%  "{movie}" %s ü\\\n<|im_end|> ({1900 + movie})' for movie in range(40)}
    del titles[7]  # no title: named by its number
    rows = [
        (user, draw.randrange(40), draw.randrange(1, 11) / 2, draw.randrange(500))
        for user in (5, 3, 11)
        for _ in range(60)
    ]
    source = write_source(tmp_path / "source", rows, titles)
    options = PrepareOptions(history_len=3)
    prepare(source, tmp_path / "data" / "small", options)
    expected: dict[str, list[Any]] = {name: [] for name in SPLITS}
    for user in (3, 5, 11):
        last = {row[1]: row for row in sorted(rows, key=lambda row: row[3]) if row[0] == user}  # rated again: the last
        own = sorted(last.values(), key=lambda row: (row[3], row[1]))
        assert 20 <= len(own) - 3 < 40
        for place in range(3, len(own)):
            _, movie, rating, time = own[place]
            shown = own[place - 3 : place]
            named = [" ".join(titles.get(film, f"Movie {film}").split()) for _, film, _, _ in [*shown, own[place]]]
            stars = [rating for _, _, rating, _ in shown]
            answer = "Yes" if rating >= 4 else "No"
            # of 20 to 39 examples the last 2 or 3 are test, the one before them eval
            test_from = len(own) - (len(own) - 3) // 10
            split = "test" if place >= test_from else "eval" if place == test_from - 1 else "train"
            known = {"user_id": user, "movie_id": movie, "timestamp": time}
            if split == "test":
                raw = {"history_titles": named[:3], "history_ratings": stars, "candidate_title": named[3]}
                expected[split].append(known | raw | {"label": answer})
            else:
                text = render_input(named[:3], stars, named[3])
                form = {"instruction": INSTRUCTION, "input": text, "output": answer, "system": SYSTEM, "history": []}
                expected[split].append(known | form)
    folder = tmp_path / "data" / "small"
    assert json.loads((folder / "train.json").read_text()) == expected["train"]
    assert json.loads((folder / "eval.json").read_text()) == expected["eval"]
    assert [json.loads(line) for line in (folder / "test_raw.jsonl").read_text().splitlines()] == expected["test"]


def test_json_and_jsonl_hold_the_same_records(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", one_user(60), {})
    plain = prepare(source, tmp_path / "a", PrepareOptions()).meta
    lines = prepare(source, tmp_path / "b", PrepareOptions(export="jsonl")).meta
    assert plain["content_sha256"] == lines["content_sha256"]
    array = json.loads((tmp_path / "a" / "train.json").read_text())
    assert array == [json.loads(line) for line in (tmp_path / "b" / "train.jsonl").read_text().splitlines()]
    assert len((tmp_path / "a" / "train.json").read_text().splitlines()) == len(array) + 2  # one record a line
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["b_train"]["file_name_eval"] == "b/eval.jsonl"


def test_the_same_source_and_options_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", one_user(60) + one_user(60, user=2), {})
    for parent in ("a", "b"):
        prepare(source, tmp_path / parent / "set", PrepareOptions(max_eval=2))
    for path in sorted((tmp_path / "a" / "set").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / "set" / path.name).read_bytes()


def test_meta_tells_what_was_read_and_what_was_left_out(tmp_path: Path) -> None:
    rows = one_user(60) + one_user(10, user=2) + [(1, 100, 2.0, 900)]  # user 2 is too short, film 100 comes twice
    source = write_source(tmp_path / "source", rows, {movie: f"Film {movie}" for movie in range(100, 150)})
    meta = prepare(source, tmp_path / "set", PrepareOptions(max_per_user=30)).meta
    assert meta == json.loads((tmp_path / "set" / "meta.json").read_text())
    assert meta["counts"] == {"train": 26, "eval": 1, "test": 3}
    assert (meta["users"], meta["users_dropped"], meta["ratings"]) == (1, 1, 70)
    assert (meta["movies"], meta["movies_untitled"], meta["ratings_untitled"]) == (60, 10, 10)
    assert meta["ratings_repeated_dropped"] == 1
    # 15 first ratings of user 1 and 10 of user 2 are never asked about; 45 − 30 examples are over the cap
    assert meta["ratings_not_asked"] == {"history_only": 25, "over_max_per_user": 15, "over_max_eval": 0}
    assert sum(meta["counts"].values()) + sum(meta["ratings_not_asked"].values()) == meta["ratings"]
    for name, facts in meta["files"].items():
        assert (tmp_path / "set" / name).stat().st_size == facts["bytes"]


def test_movies_hold_the_training_counts_of_each_film(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", one_user(60), {115: "Asked (1990)", 999: "Never rated (1991)"})
    prepare(source, tmp_path / "set", PrepareOptions())
    movies = {row["item"]: row for row in pl.read_parquet(tmp_path / "set" / "films.parquet").iter_rows(named=True)}
    asked = {"title": "Asked (1990)", "genres": ["Drama"], "train_ratings": 1, "train_likes": 1}
    assert movies[115] == {"item": 115} | asked
    assert movies[999]["train_ratings"] == 0
    assert movies[159] == {"item": 159, "title": "Movie 159", "genres": [], "train_ratings": 0, "train_likes": 0}
    train = json.loads((tmp_path / "set" / "train.json").read_text())
    assert sum(row["train_ratings"] for row in movies.values()) == len(train)
    assert sum(row["train_likes"] for row in movies.values()) == sum(row["output"] == "Yes" for row in train)
