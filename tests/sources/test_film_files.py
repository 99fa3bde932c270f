"""Lines with too many or too few fields, headers that name a column twice, ids of two films: never guessed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from movielora.errors import DataError
from movielora.progress import SILENT
from movielora.sources.catalogue import read_source

RATINGS_CSV = "userId,movieId,rating,timestamp\n1,1,4.0,100\n"
FILM_100K = "1|Café (1995)|01-Jan-1995||http://x|" + "|".join(["1"] + ["0"] * 18)
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1\t4\t9\n"


def refusal(folder: Path, **files: str) -> DataError:
    """What reading a folder of these files says; `movies_csv` is movies.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_source(folder)
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    ("line", "count"),
    [("2,Matrix, The (1999),Drama", 4), ("2,Matrix (1999)", 2), ("2", 1), ("2,Matrix (1999),Drama,,", 5)],
)
def test_a_film_with_too_many_or_too_few_fields_is_named_by_its_line(tmp_path: Path, line: str, count: int) -> None:
    movies = f'movieId,title,genres\n1,"Heat, The\n(1995)",Crime\n{line}\n'
    error = refusal(tmp_path, ratings_csv=RATINGS_CSV, movies_csv=movies)
    assert error.message == f"{tmp_path / 'movies.csv'}, line 4: {count} fields and the header names 3."
    assert ("between double quotes" in error.next_step) == (count > 3)


def test_a_quoted_comma_is_part_of_the_title(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS_CSV)
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n1,"Matrix, The (1999)",Drama\n')
    film = read_source(tmp_path).films[1]
    assert (film.title, film.genres) == ("Matrix, The (1999)", ("Drama",))


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (
            {"ratings_csv": RATINGS_CSV, "movies_csv": "movieId,title,title\n1,Heat,Crime\n"},
            "movies.csv, line 1: the header names the column 'title' twice.",
        ),
        (
            {"ratings_csv": "userId,movieId,rating,rating,timestamp\n1,1,4,2,100\n", "movies_csv": "movieId,title\n"},
            "ratings.csv, line 1: the header names the column 'rating' twice.",
        ),
        (
            {"x_inter": INTER, "x_item": "item_id:token\tmovie_title:token\titem_id:token\n1\tHeat\t2\n"},
            "x.item, line 1: the header names the column 'item_id' twice.",
        ),
        (
            {"x_inter": INTER.replace("item_id", "user_id", 1)},
            "x.inter, line 1: the header names the column 'user_id' twice.",
        ),
    ],
)
def test_a_column_that_is_named_twice_is_refused(tmp_path: Path, files: dict[str, str], wanted: str) -> None:
    assert str(tmp_path / wanted) == refusal(tmp_path, **files).message


def test_ratings_with_a_comma_too_many_or_too_few(tmp_path: Path) -> None:
    movies = "movieId,title\n1,Heat\n"
    error = refusal(tmp_path, ratings_csv=RATINGS_CSV + "1,2,3,5,100\n", movies_csv=movies)
    assert "ratings.csv, line 3: 5 fields and the header names 4" in error.message
    assert "3.5" in error.next_step
    old = {"movies_dat": "1::Heat::Crime\n"}
    # three fields with a comma in one are three fields, although a comma is what the fast reader separates by
    assert "line 1: 3 fields" in refusal(tmp_path / "dat", ratings_dat="1,2::3::4\n", **old).message
    assert "line 1: 5 fields" in refusal(tmp_path / "more", ratings_dat="1::2::3::4::5\n", **old).message


@pytest.mark.parametrize(
    "line",
    [
        FILM_100K.replace("Café", "Caf|é"),  # a bar in the title moves every field
        FILM_100K.removesuffix("|0"),
        FILM_100K + "|0",
        FILM_100K.removesuffix("0") + "x",
        "1|Café (1995)",
    ],
)
def test_a_line_of_u_item_that_has_not_its_24_fields_is_named(tmp_path: Path, line: str) -> None:
    error = refusal(tmp_path, u_data="196\t1\t3\t9\n", u_item=f"{FILM_100K}\n{line}\n")
    assert f"{tmp_path / 'u.item'}, line 2: id, title, two dates, address and 19 flags" in error.message


ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tgenre:token_seq\n1\tHeat\t1995\tCrime\n"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (
            {"ratings_csv": RATINGS_CSV, "movies_csv": 'movieId,title\n1,"Heat\n(1995)"\n2,Ran\n01,Other (2000)\n'},
            "movies.csv, line 5: film 1 is 'Other (2000)' here and 'Heat (1995)' in line 2.",
        ),
        (
            {"ratings_csv": RATINGS_CSV, "movies_csv": "movieId,title,genres\n1,Heat,Crime\n1,Heat,Drama|War\n"},
            "movies.csv, line 3: film 1 is of the genres Drama|War here and of the genres Crime in line 2.",
        ),
        (
            {"ratings_csv": RATINGS_CSV, "movies_csv": "movieId,title,genres\n1,Heat,\n1,Heat,Drama\n"},
            "movies.csv, line 3: film 1 is of the genres Drama here and without genres in line 2.",
        ),
        (
            {"ratings_dat": "1::1::4::9\n", "movies_dat": "1::Heat::Crime\n1::Ran::Crime\n"},
            "movies.dat, line 2: film 1 is 'Ran' here and 'Heat' in line 1.",
        ),
        (
            {"u_data": "1\t1\t4\t9\n", "u_item": f"{FILM_100K}\n{FILM_100K.replace('Café', 'Heat')}\n"},
            "u.item, line 2: film 1 is 'Heat (1995)' here and 'Café (1995)' in line 1.",
        ),
        (
            {"x_inter": INTER, "x_item": ITEM + "1\tHeat\t1996\tCrime\n"},
            "x.item, line 3: film '1' is 'Heat (1996)' here and 'Heat (1995)' in line 2.",
        ),
    ],
)
def test_an_id_of_two_films_is_refused_with_both_lines(tmp_path: Path, files: dict[str, str], wanted: str) -> None:
    assert refusal(tmp_path, **files).message == str(tmp_path / wanted)


def test_lines_that_say_the_same_are_one_film_and_are_counted(tmp_path: Path) -> None:
    csv = {
        "ratings.csv": RATINGS_CSV,
        "movies.csv": "movieId,title,genres\n" + "1,Heat,Crime\n2,Ran,\n1, Heat ,Crime\n",
    }
    recbole = {"x.inter": INTER, "x.item": ITEM + 2 * ITEM.splitlines(keepends=True)[1] + "1\t\t1996\t\n"}
    for name, files in (("csv", csv), ("recbole", recbole)):
        folder, notes = tmp_path / name, []
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        read = read_source(folder, reporter=SimpleNamespace(phase=SILENT.phase, note=notes.append, warn=notes.append))
        count = "1 line repeats" if name == "csv" else "2 lines repeat"
        path = folder / list(files)[1]
        assert notes == [f"{count} a film of {path} with the same title and genres: each film counts once"]
        assert read.films[1].genres == ("Crime",)  # a line without a title says nothing of the film
