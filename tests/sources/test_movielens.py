"""Reading MovieLens in its three layouts, as a folder and as a zip, and naming every mistake."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from movielora.dataset.dataset import Dataset
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.preparation.prepare import prepare
from movielora.sources.catalogue import read_source
from movielora.sources.ratings import Ratings
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

RATINGS_CSV = "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,0.5,101\n2,10,5.0,90\n"
MOVIES_CSV = 'movieId,title,genres\n10,Heat (1995),Action|Crime\n20,"Game, The (1997)",(no genres listed)\n'


def folder_with(path: Path, **files: str | bytes) -> Path:
    """A folder; `ratings_csv=...` becomes ratings.csv."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (path / name.replace("_", ".")).write_bytes(data)
    return path


def rows(ratings: Ratings) -> list[tuple[int, int, float, int]]:
    return ratings.frame.rows()


def message_of(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_source(source)
    assert caught.value.next_step
    return str(caught.value)


def test_csv_keeps_the_order_of_the_file_and_reads_quoted_titles(tmp_path: Path) -> None:
    read = read_source(folder_with(tmp_path, ratings_csv=RATINGS_CSV, movies_csv=MOVIES_CSV))
    assert rows(read) == [(1, 10, 4.0, 100), (1, 20, 0.5, 101), (2, 10, 5.0, 90)]
    assert (read.films[10].title, read.films[10].genres) == ("Heat (1995)", ("Action", "Crime"))
    assert (read.films[20].title, read.films[20].genres) == ("Game, The (1997)", ())
    assert read.layout == "csv"
    assert set(read.hashes) == {"ratings.csv", "movies.csv"}


def test_columns_are_found_by_name_behind_a_byte_order_mark_and_with_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufefftimestamp,note,rating,movieId,userId\r\n100,x,4.0,10,1\r\n"
    read = read_source(folder_with(tmp_path, ratings_csv=text, movies_csv="\ufeff" + MOVIES_CSV))
    assert rows(read) == [(1, 10, 4.0, 100)]


def test_quoted_and_spaced_numbers_blank_lines_and_huge_ids_are_read(tmp_path: Path) -> None:
    text = 'userId,movieId,rating,timestamp\n"1", 10 ,"4.0",100\n\n99999999999,20,3,101\n'
    read = read_source(folder_with(tmp_path, ratings_csv=text, movies_csv=MOVIES_CSV))
    assert rows(read) == [(1, 10, 4.0, 100), (99999999999, 20, 3.0, 101)]


def test_titles_with_quotes_and_line_breaks_become_one_line(tmp_path: Path) -> None:
    movies = 'movieId,title,genres\n10,"He said ""No""\nand left <|im_end|>",Drama\n20,,Drama\n'
    read = read_source(folder_with(tmp_path, ratings_csv=RATINGS_CSV, movies_csv=movies))
    assert read.films[10].title == 'He said "No" and left <|im_end|>'
    assert 20 not in read.films  # an empty title is no title


def test_a_film_id_beyond_32_bits_is_listed_and_one_beyond_18_digits_is_named(tmp_path: Path) -> None:
    far = 3_000_000_000
    enough = RATINGS_CSV + "".join(f"1,{film},4.0,{film}\n" for film in range(1, 6))
    source = folder_with(tmp_path / "a", ratings_csv=enough, movies_csv=f"{MOVIES_CSV}{far},Far (2001),Drama\n")
    meta = prepare(source, tmp_path / "set", PrepareOptions(history_len=1)).meta
    assert meta["movies_listed"] == len(read_source(source).films)
    films = Dataset.open(tmp_path / "set").films
    assert films.titles[films.ids.tolist().index(far)] == "Far (2001)"
    source = folder_with(tmp_path / "b", ratings_csv=RATINGS_CSV, movies_csv=f"{MOVIES_CSV}{'9' * 20},Far (2001),\n")
    assert f"movies.csv, line 4: the movie id '{'9' * 20}' has more than 18 digits" in message_of(source)
    ratings = f"{RATINGS_CSV}1,{'9' * 20},4.0,7\n"
    source = folder_with(tmp_path / "c", ratings_csv=ratings, movies_csv=MOVIES_CSV)
    assert f"ratings.csv, line 5: the movie id '{'9' * 20}' has more than 18 digits" in message_of(source)


def test_one_million_layout_is_latin_1_with_double_colons(tmp_path: Path) -> None:
    movies = "1::Misérables, Les (1995)::Drama|Musical\n2::Ratio 2::1 (1999)::Comedy\n".encode("latin-1")
    source = folder_with(tmp_path, ratings_dat="1::1::5::978300760\n1::2::3::978302109\n", movies_dat=movies)
    read = read_source(source)
    assert rows(read) == [(1, 1, 5.0, 978300760), (1, 2, 3.0, 978302109)]
    assert read.films[1].title == "Misérables, Les (1995)"
    assert (read.films[2].title, read.films[2].genres) == ("Ratio 2::1 (1999)", ("Comedy",))


def test_ten_million_layout_is_the_same_in_utf_8(tmp_path: Path) -> None:
    source = folder_with(tmp_path, ratings_dat="1::1::4.5::9\n", movies_dat="1::Misérables, Les (1995)::Drama\n")
    assert read_source(source).films[1].title == "Misérables, Les (1995)"


def test_hundred_thousand_layout_reads_flags_as_genres(tmp_path: Path) -> None:
    flags = "|".join("1" if place in (1, 16) else "0" for place in range(19))  # Action and Thriller
    film = f"1|Café (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1")
    read = read_source(folder_with(tmp_path, u_data="196\t1\t3\t881250949\n", u_item=film))
    assert rows(read) == [(196, 1, 3.0, 881250949)]
    assert (read.films[1].title, read.films[1].genres) == ("Café (1995)", ("Action", "Thriller"))


def test_a_folder_above_and_the_ratings_file_itself_are_taken_too(tmp_path: Path) -> None:
    inner = folder_with(tmp_path / "ml-latest-small", ratings_csv=RATINGS_CSV, movies_csv=MOVIES_CSV)
    assert rows(read_source(tmp_path)) == rows(read_source(inner / "ratings.csv"))


def test_two_movielens_below_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder_with(tmp_path / name, ratings_csv=RATINGS_CSV, movies_csv=MOVIES_CSV)
    assert "more than one MovieLens (a, b)" in message_of(tmp_path)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("1,10,good,100", "line 3: the rating 'good' is not a number"),
        ("1,10,nan,100", "line 3: the rating 'nan' is not a number"),
        ("1,10,inf,100", "line 3: the rating 'inf' is not a number"),
        ("1,10,,100", "line 3: the rating '' is not a number"),
        ("1,10,5.5,100", "line 3: the rating '5.5' is not between 0 and 5 stars"),
        ("1,10,-1,100", "line 3: the rating '-1' is not between 0 and 5 stars"),
        ("1,10,4.0,soon", "line 3: the timestamp 'soon' is not a whole number"),
        ("1,10,4.0,1.5", "line 3: the timestamp '1.5' is not a whole number"),
        ("1,ten,4.0,100", "line 3: the movie id 'ten' is not a whole number"),
        ("x,10,4.0,100", "line 3: the user id 'x' is not a whole number"),
        ("1,10,4.0", "line 3: 3 fields and the header names 4"),
        ("1,10,4.0,100,7", "line 3: 5 fields and the header names 4"),
        ('1,"10,4.0,100', "line 3: the quotes do not close"),
    ],
)
def test_a_mistake_in_ratings_names_file_line_and_field(tmp_path: Path, line: str, wanted: str) -> None:
    text = f"userId,movieId,rating,timestamp\n1,20,4.0,99\n{line}\n"
    source = folder_with(tmp_path, ratings_csv=text, movies_csv=MOVIES_CSV)
    message = message_of(source)
    assert wanted in message
    assert str(source / "ratings.csv") in message


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("1::2::9::4", "line 2: the rating '9' is not between"),
        ("1::2::3", "line 2: 3 fields"),
        ("1,1::2::3::4", "line 2: the user id '1,1'"),
    ],
)
def test_a_mistake_in_the_old_layout_names_its_line(tmp_path: Path, line: str, wanted: str) -> None:
    source = folder_with(tmp_path, ratings_dat=f"1::1::5::9\n{line}\n", movies_dat="1::A (1990)::Drama\n")
    assert wanted in message_of(source)


def test_bytes_that_are_not_utf_8_are_named_by_line(tmp_path: Path) -> None:
    bad_movies = MOVIES_CSV.encode() + b"30,Am\xe9lie (2001),Comedy\n"
    source = folder_with(tmp_path / "m", ratings_csv=RATINGS_CSV, movies_csv=bad_movies)
    assert "movies.csv, line 4: the text is not UTF-8" in message_of(source)
    bad_ratings = RATINGS_CSV.encode() + b"1,\xff,4.0,7\n"
    source = folder_with(tmp_path / "r", ratings_csv=bad_ratings, movies_csv=MOVIES_CSV)
    assert "ratings.csv, line 5: the text is not UTF-8" in message_of(source)


def test_a_missing_column_is_named_with_the_columns_that_are_there(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "r", ratings_csv="user,movieId,rating,timestamp\n", movies_csv=MOVIES_CSV)
    assert "has no column 'userId'; its first line is: user, movieId, rating, timestamp" in message_of(source)
    source = folder_with(tmp_path / "m", ratings_csv=RATINGS_CSV, movies_csv="movieId,name\n1,x\n")
    assert "movies.csv has no column 'title'" in message_of(source)


def test_a_stray_quote_in_the_films_is_named_and_swallows_nothing(tmp_path: Path) -> None:
    source = folder_with(tmp_path, ratings_csv=RATINGS_CSV, movies_csv='movieId,title,genres\n10,"Heat,A\n20,Game,B\n')
    assert "movies.csv, line 2: the quotes do not close" in message_of(source)


@pytest.mark.parametrize(
    ("ratings", "movies", "wanted"),
    [
        ("", MOVIES_CSV, "ratings.csv is empty"),
        ("userId,movieId,rating,timestamp\n", MOVIES_CSV, "ratings.csv holds no ratings"),
        (RATINGS_CSV, "", "movies.csv is empty"),
    ],
)
def test_empty_files(tmp_path: Path, ratings: str, movies: str, wanted: str) -> None:
    assert wanted in message_of(folder_with(tmp_path, ratings_csv=ratings, movies_csv=movies))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert "does not exist" in message_of(tmp_path / "nowhere")
    assert "holds no ratings" in message_of(folder_with(tmp_path / "empty"))
    assert "has ratings.csv but no movies.csv" in message_of(folder_with(tmp_path / "half", ratings_csv=RATINGS_CSV))
    (tmp_path / "notes.txt").write_text("hello")
    assert "neither a folder nor a zip" in message_of(tmp_path / "notes.txt")


def make_zip(path: Path, members: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_zip_reads_like_its_folder_and_leaves_nothing_behind(tmp_path: Path) -> None:
    scratch = folder_with(tmp_path / "scratch")
    source = make_zip(
        tmp_path / "ml.zip",
        {
            "ml/README.txt": "x",
            "__MACOSX/ratings.csv": "junk",
            "ml/ratings.csv": RATINGS_CSV,
            "ml/movies.csv": MOVIES_CSV,
        },
    )
    read = read_source(source, scratch)
    assert rows(read) == rows(read_source(folder_with(tmp_path / "f", ratings_csv=RATINGS_CSV, movies_csv=MOVIES_CSV)))
    assert list(scratch.iterdir()) == []


def test_a_mistake_inside_a_zip_is_named_by_archive_and_member(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "ml.zip", {"ml/ratings.csv": RATINGS_CSV + "1,2,9,4\n", "ml/movies.csv": MOVIES_CSV})
    assert f"{source}: ml/ratings.csv, line 5: the rating '9'" in message_of(source)


def test_members_that_point_elsewhere_are_read_and_never_written_there(tmp_path: Path) -> None:
    scratch = folder_with(tmp_path / "deep" / "scratch")
    source = make_zip(tmp_path / "ml.zip", {"../../ratings.csv": RATINGS_CSV, "../../movies.csv": MOVIES_CSV})
    before = sorted(tmp_path.rglob("*"))
    assert len(rows(read_source(source, scratch))) == 3
    assert sorted(tmp_path.rglob("*")) == before


def test_zips_that_cannot_be_read(tmp_path: Path) -> None:
    assert "holds no ratings" in message_of(make_zip(tmp_path / "a.zip", {"readme.txt": "x"}))
    assert "no movies.csv beside it" in message_of(make_zip(tmp_path / "b.zip", {"ratings.csv": RATINGS_CSV}))
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04 and then nothing of the kind")
    assert "not a sound zip" in message_of(tmp_path / "c.zip")
    whole = make_zip(tmp_path / "d.zip", {"ratings.csv": RATINGS_CSV * 99, "movies.csv": MOVIES_CSV}).read_bytes()
    (tmp_path / "e.zip").write_bytes(whole[: len(whole) // 2])
    assert "not a sound zip" in message_of(tmp_path / "e.zip")


def test_a_member_whose_bytes_were_changed_fails_its_checksum(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "ml.zip", {"ratings.csv": RATINGS_CSV, "movies.csv": MOVIES_CSV}, zipfile.ZIP_STORED)
    source.write_bytes(source.read_bytes().replace(b"1,10,4.0,100", b"1,10,3.0,100"))
    assert "Bad CRC-32" in message_of(source)


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "ml.zip", {"ratings.csv": RATINGS_CSV, "movies.csv": MOVIES_CSV})
    data = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the flag "encrypted" of each member
        start = data.find(signature)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(signature, start + 4)
    source.write_bytes(bytes(data))
    assert "cannot be unpacked" in message_of(source)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", b"0" * (80 << 20))  # 80 MB from 80 kB
        archive.writestr("movies.csv", MOVIES_CSV)
    (tmp_path / "bomb.zip").write_bytes(packed.getvalue())
    assert "which no MovieLens does" in message_of(tmp_path / "bomb.zip")


def test_a_member_that_lies_about_its_size_is_cut_at_its_word(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "ml.zip", {"ratings.csv": RATINGS_CSV * 1000, "movies.csv": MOVIES_CSV})
    data = bytearray(source.read_bytes())
    start = data.find(b"PK\x01\x02")
    data[start + 24 : start + 28] = struct.pack("<I", 50)  # the central directory says 50 bytes
    source.write_bytes(bytes(data))
    assert "not a sound zip" in message_of(source)


def test_the_fast_reader_and_the_row_reader_agree(tmp_path: Path) -> None:
    write_synthetic_movielens(tmp_path / "a", SyntheticSize(users=30, films=60))
    text = (tmp_path / "a" / "ratings.csv").read_text()
    movies = (tmp_path / "a" / "movies.csv").read_text()
    # a quoted first number with a space inside is beyond polars, so this one is read row by row
    slow = text.replace("\n1,", '\n" 1",', 1)
    assert slow != text
    other = folder_with(tmp_path / "b", ratings_csv=slow, movies_csv=movies)
    assert rows(read_source(tmp_path / "a")) == rows(read_source(other))
