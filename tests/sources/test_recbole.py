"""RecBole's atomic files, read and prepared; and the choice between sources."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from movielora.dataset.dataset import Dataset
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.preparation.prepare import prepare
from movielora.sources.catalogue import read_source
from movielora.sources.ratings import Ratings

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1193\t5\t978300760\n1\t661\t3\t978302109\n"
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tgenre:token_seq\n"
    "661\tJames and the Giant Peach\t1996\tAnimation Children's Musical\n"
    "1193\tOne Flew Over the Cuckoo's Nest\t1975\tDrama\n"
)


def write(folder: Path, **files: str | bytes) -> Path:
    """`ml_inter=...` becomes FOLDER/ml.inter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def rows(ratings: Ratings) -> list[tuple[Any, ...]]:
    return ratings.frame.rows()


def message_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_source(path)
    assert caught.value.next_step
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_example_of_recboles_documentation(tmp_path: Path) -> None:
    read = read_source(write(tmp_path, ml_inter=INTER, ml_item=ITEM, ml_user="user_id:token\n1\n"))
    assert rows(read) == [(1, 1193, 5.0, 978300760), (1, 661, 3.0, 978302109)]
    assert read.films[1193].title == "One Flew Over the Cuckoo's Nest (1975)"
    assert read.films[661].genres == ("Animation", "Children's", "Musical")
    assert read.layout == "recbole"
    assert set(read.hashes) == {"ml.inter", "ml.item"}


def test_columns_in_any_order_other_names_fractions_and_windows_line_ends(tmp_path: Path) -> None:
    inter = (
        "\ufeffnote:token_seq\ttimestamp:float\trating:float\titem_id:token\tuser_id:token\r\nx\t1.5e9\t4.5\t7\t3\r\n"
    )
    item = (
        "movie_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\r\n"
        "7\tUsual Suspects, The (1995)\t1995\tunknown\r\n"  # the year is there already
        '8\t"He said ""No"""\tunkonwn\tDrama\r\n'  # quoted by pandas; ml-100k writes this for a year
        '9\t"Great" Cats\t1998\t\r\n'  # not quoted by RecBole's own converter
        "10\t\t1998\tDrama\r\n"
    )
    read = read_source(write(tmp_path, x_inter=inter, x_item=item))
    assert rows(read) == [(3, 7, 4.5, 1_500_000_000)]
    assert {film: (movie.title, movie.genres) for film, movie in read.films.items()} == {
        7: ("Usual Suspects, The (1995)", ()),
        8: ('He said "No"', ("Drama",)),
        9: ('"Great" Cats (1998)', ()),
    }


@pytest.mark.parametrize(
    ("users", "items", "expected"),
    [
        (("1", "20"), ("3", "0"), (pl.Int32, pl.Int32)),
        (("01", "20"), ("3", "10"), (pl.String, pl.Int32)),
        (("1", "20"), ("tt01", "10"), (pl.Int32, pl.String)),
        (("-1", "20"), ("3", "1.0"), (pl.String, pl.String)),
        (("1", "99999999999"), ("3", "9" * 19), (pl.Int64, pl.String)),
    ],
)
def test_ids_are_numbers_if_all_are_plain_whole_numbers(
    tmp_path: Path, users: tuple[str, str], items: tuple[str, str], expected: tuple[Any, Any]
) -> None:
    lines = [f"{user}\t{item}\t4\t9" for user, item in zip(users, items, strict=True)]
    read = read_source(write(tmp_path, x_inter=INTER.split("\n")[0] + "\n" + "\n".join(lines)))
    assert (read.frame.schema["user_id"], read.frame.schema["movie_id"]) == expected
    assert tuple(map(str, read.frame["user_id"])) == users


def test_one_film_with_a_text_id_makes_all_film_ids_text(tmp_path: Path) -> None:
    read = read_source(write(tmp_path, x_inter=INTER, x_item=ITEM + "tt9\tHeat\t1995\tCrime\n"))
    assert read.frame["movie_id"].to_list() == ["1193", "661"]
    assert set(read.films) == {"661", "1193", "tt9"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("1\t2\tgood\t9", "line 4: the rating 'good' is not a number"),
        ("1\t2\tnan\t9", "line 4: the rating 'nan' is not a number"),
        ("1\t2\t9\t9", "line 4: the rating '9' is not between 0 and 5 stars"),
        ("1\t2\t4\tsoon", "line 4: the timestamp 'soon' is not a number"),
        ("1\t2\t4\tinf", "line 4: the timestamp 'inf' is not a number"),
        ("1\t2\t4\t1e300", "line 4: the timestamp '1e300' is out of range"),
        ("\t2\t4\t9", "line 4: the user id is empty"),
        ("1\t\t4\t9", "line 4: the item id is empty"),
        ("1\t2\t4", "line 4: 3 fields and the header names 4"),
        ("1\t2\t4\t9\t9", "line 4: 5 fields and the header names 4"),
    ],
)
def test_a_mistake_names_file_line_and_field(tmp_path: Path, line: str, wanted: str) -> None:
    message = message_of(write(tmp_path, x_inter=f"{INTER}{line}\n"))
    assert f"{tmp_path / 'x.inter'}, {wanted}" in message


def test_mistakes_of_headers_bytes_and_films(tmp_path: Path) -> None:
    for number, (inter, item, wanted) in enumerate(
        [
            ("", ITEM, "x.inter is empty"),
            (INTER.split("\n")[0], ITEM, "x.inter holds no ratings"),
            (INTER.replace("rating:float", "rating"), ITEM, "x.inter, line 1: the field 'rating' has no type"),
            (INTER.replace("rating:float", "rating:int"), ITEM, "x.inter, line 1: the field 'rating:int' has no type"),
            (INTER.replace("timestamp", "date"), ITEM, "x.inter has no field 'timestamp'; its first line has: user_id"),
            (INTER.encode() + b"1\t\xff\t4\t9\n", ITEM, "x.inter, line 4: the text is not UTF-8"),
            (INTER, ITEM.encode() + b"9\tAm\xe9lie\t2001\tx\n", "x.item, line 4: the text is not UTF-8"),
            (INTER, ITEM + "9\tHeat\n", "x.item, line 4: 2 fields and the header names 4"),
            (INTER, ITEM + "\tHeat\t1995\tCrime\n", "x.item, line 4: the item id is empty"),
            (INTER, "item_id:token\n", "x.item has no field 'movie_title'"),
        ]
    ):
        assert wanted in message_of(write(tmp_path / str(number), x_inter=inter, x_item=item))


def test_the_file_of_a_folder_is_found_or_the_choice_is_left_to_the_user(tmp_path: Path) -> None:
    below = write(tmp_path / "dataset" / "ml", ml_inter=INTER)
    assert rows(read_source(tmp_path / "dataset")) == rows(read_source(below / "ml.inter"))
    write(below, ml_train_inter=INTER + "2\t5\t1\t1\n")  # a part beside the whole
    assert len(rows(read_source(below))) == 2
    write(tmp_path / "two", a_inter=INTER, b_inter=INTER)
    assert "holds more than one file of ratings (a.inter, b.inter)" in message_of(tmp_path / "two")


def test_the_fast_reader_and_the_row_reader_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(2)  # noqa: S311 - no secret
    rated = [(f"u{draw.randrange(9)}", draw.randrange(9), draw.randrange(1, 11) / 2) for _ in range(500)]
    lines = ["\t".join(map(str, (*row, draw.randrange(10**9)))) for row in rated]
    text = INTER.split("\n")[0] + "\n" + "\n".join(lines) + "\n"
    # a line of blanks in the middle is beyond the fast reader
    slow = read_source(write(tmp_path / "b", x_inter="\n  \n".join(text.split("\n", 2))))
    monkeypatch.delattr("movielora.sources.recbole._read_by_row")  # the fast reader has no need of it
    for name, same in (("a", text), ("c", "\ufeff" + text.replace("\n", "\r\n"))):
        fast = read_source(write(tmp_path / name, x_inter=same))
        assert rows(fast) == rows(slow)
    assert len(rows(slow)) == 500


# The choice of a source


def test_no_source_and_two_sources_are_one_sentence(tmp_path: Path) -> None:
    looked_for = (
        "looked for ratings.csv, ratings.dat, u.data, a zip of one (MovieLens), NAME.inter, a zip of one (RecBole)."
    )
    assert message_of(write(tmp_path / "empty")) == f"{tmp_path / 'empty'} holds no ratings: {looked_for}"
    both = write(tmp_path / "both", ratings_csv="userId,movieId,rating,timestamp\n", x_inter=INTER)
    assert message_of(both) == (
        f"{both} holds files of MovieLens (ratings.csv, ratings.dat, u.data, a zip of one) and of RecBole "
        "(NAME.inter, a zip of one)."
    )
    assert len(rows(read_source(both / "x.inter"))) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    assert "cannot be read: Permission denied" in message_of(tmp_path / "locked")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ratings.csv")
    assert "neither a folder nor a zip" in message_of(tmp_path / "ratings.csv")


# Prepared


def test_text_ids_go_the_whole_way(tmp_path: Path) -> None:
    header = INTER.split("\n")[0]
    lines = [f"user {user}\ttt{film:03}\t{1 + film % 5}\t{100 * film}" for user in "cab" for film in range(9, 0, -1)]
    items = "item_id:token\tmovie_title:token_seq\ntt004\tHeat\ntt999\tNever rated\n"
    source = write(tmp_path / "source", x_inter="\n".join([header, *lines]), x_item=items)
    prepare(source, tmp_path / "data" / "set", PrepareOptions(history_len=2))
    dataset = Dataset.open(tmp_path / "data" / "set")
    dataset.verify()
    assert dataset.timelines.users.tolist() == ["user a", "user b", "user c"]
    assert dataset.films.ids.tolist() == [*(f"tt{film:03}" for film in range(1, 10)), "tt999"]
    assert dataset.films.titles == [
        "tt001",
        "tt002",
        "tt003",
        "Heat",
        *(f"tt{film:03}" for film in range(5, 10)),
        "Never rated",
    ]
    # in time order the films are 1 to 9 for each user: 7 examples, the last test and the one before eval
    assert dataset.films.ids[dataset.timelines.item[dataset.events["test"]]].tolist() == ["tt009"] * 3
    train = json.loads((tmp_path / "data" / "set" / "train.json").read_text())
    assert [row["movie_id"] for row in train[:5]] == [f"tt{film:03}" for film in range(3, 8)]
    assert {row["user_id"] for row in train} == {"user a", "user b", "user c"}
    assert "Candidate film: Heat\n" in train[1]["input"]
    test = [json.loads(line) for line in (tmp_path / "data" / "set" / "test_raw.jsonl").read_text().splitlines()]
    assert test[0]["history_titles"] == ["tt007", "tt008"]
    meta = json.loads((tmp_path / "data" / "set" / "meta.json").read_text())
    assert (meta["movies"], meta["movies_listed"], meta["movies_untitled"]) == (9, 2, 8)
    assert meta["source"]["layout"] == "recbole"


def test_the_same_ratings_of_two_sources_give_the_same_columns(tmp_path: Path) -> None:
    draw = random.Random(4)  # noqa: S311 - no secret
    rated = [
        (user, draw.randrange(1, 30), draw.randrange(1, 11) / 2, draw.randrange(9**9))
        for user in (2, 10, 1)
        for _ in range(30)
    ]
    csv = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in rated)]
    movies = ["movieId,title,genres", *(f"{film},Film {film} (1999),Drama|War" for film in range(1, 25))]
    inter = [INTER.split("\n")[0], *("\t".join(map(str, row)) for row in rated)]
    item = [ITEM.split("\n")[0], *(f"{film}\tFilm {film}\t1999\tDrama War" for film in range(1, 25))]
    one = write(tmp_path / "one", ratings_csv="\n".join(csv), movies_csv="\n".join(movies))
    other = write(tmp_path / "other", x_inter="\n".join(inter), x_item="\n".join(item))
    for source, name in ((one, "a"), (other, "b")):
        prepare(source, tmp_path / name, PrepareOptions(history_len=3))
    for name in ("interactions.parquet", "films.parquet", "train.json", "test_raw.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
