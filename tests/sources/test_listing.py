"""Where the files of a source are found: zips as Windows and macOS pack them, folders in folders, names in capitals."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from movielora.errors import DataError
from movielora.progress import SILENT
from movielora.sources.catalogue import hash_source, read_source

RATINGS = "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,0.5,101\n2,10,5.0,90\n"
MOVIES = 'movieId,title,genres\n10,Heat (1995),Crime\n20,"Game, The (1997)",Drama\n'
DAT = {"ratings.dat": "1::10::3::7\n", "movies.dat": "10::Heat (1995)::Crime\n"}
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t5\t9\n2\t20\t3\t8\n"
ITEM = "item_id:token\tmovie_title:token_seq\n10\tHeat\n20\tGame\n"


def packed(path: Path, members: dict[str, str]) -> Path:
    """A zip whose members have exactly these names, backslashes included."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == list(members)
    return path


def folder_of(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def ratings_of(path: Path) -> list[tuple[int, int, float, int]]:
    read = read_source(path)
    assert read.hashes == hash_source(path)
    return read.frame.rows()


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_source(path)
    assert caught.value.next_step
    return caught.value


NAMINGS = {
    "plain": "{}",
    "folder": "ml/{}",
    "backslashes": "ml-latest-small\\{}",
    "deep backslashes": "data\\ml\\{}",
    "dot": "./{}",
    "dot folder": "./ml/{}",
    "one more level": "ml-latest-small/ml-latest-small/{}",
}


@pytest.mark.parametrize("naming", NAMINGS.values(), ids=NAMINGS)
@pytest.mark.parametrize("case", [str, str.upper, str.title], ids=["small", "capitals", "title"])
def test_a_zip_is_read_however_it_names_its_members(tmp_path: Path, naming: str, case: type[str]) -> None:
    members = {naming.format(case(name)): text for name, text in (("ratings.csv", RATINGS), ("movies.csv", MOVIES))}
    read = ratings_of(packed(tmp_path / "ml.ZIP", {"__MACOSX/ml/._ratings.csv": "junk", **members}))
    assert read == [(1, 10, 4.0, 100), (1, 20, 0.5, 101), (2, 10, 5.0, 90)]


@pytest.mark.parametrize("naming", NAMINGS.values(), ids=NAMINGS)
def test_a_zip_of_recbole_is_read_too(tmp_path: Path, naming: str) -> None:
    members = {naming.format(f"ml{suffix}"): text for suffix, text in ((".inter", INTER), (".item", ITEM))}
    source = packed(tmp_path / "rb.zip", {"__MACOSX/._ml.inter": "junk", **members})
    assert ratings_of(source) == [(1, 10, 5.0, 9), (2, 20, 3.0, 8)]
    assert read_source(source).films[10].title == "Heat"


def test_a_folder_is_searched_two_levels_deep_and_the_nearest_files_are_meant(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "a", {"ml/ml/Ratings.CSV": RATINGS, "ml/ml/MOVIES.csv": MOVIES, ".x/ratings.csv": ""})
    assert len(ratings_of(source)) == 3
    folder_of(source, {f"ml/{name}": text for name, text in DAT.items()})  # nearer, so this one is meant
    assert ratings_of(source) == [(1, 10, 3.0, 7)]
    deep = folder_of(tmp_path / "b", {"1/2/3/ratings.csv": RATINGS, "1/2/3/movies.csv": MOVIES})
    assert "holds no ratings" in refusal(deep).message
    unpacked = folder_of(tmp_path / "c", {"ml/ml.inter": INTER, "ml/ml.item": ITEM, "__MACOSX/ml/._ml.inter": "junk"})
    assert len(ratings_of(unpacked)) == 2


def test_ratings_nearer_than_those_of_another_source_are_meant(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {"ratings.csv": RATINGS, "movies.csv": MOVIES, "other/x.inter": INTER})
    assert len(ratings_of(source)) == 3


@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
def test_two_of_a_kind_are_never_guessed_between(tmp_path: Path, is_zip: bool) -> None:
    def source(name: str, files: dict[str, str]) -> Path:
        return packed(tmp_path / f"{name}.zip", files) if is_zip else folder_of(tmp_path / name, files)

    two = {f"{home}/{name}": text for home in "ab" for name, text in (("ratings.csv", RATINGS), ("movies.csv", MOVIES))}
    assert "holds more than one MovieLens (a, b)." in refusal(source("two", two)).message
    both = {"ratings.csv": RATINGS, "movies.csv": MOVIES, **DAT}
    assert "holds more than one MovieLens (ratings.csv, ratings.dat)." in refusal(source("both", both)).message
    inter = {"x/a.inter": INTER, "x/b.inter": INTER}
    assert "more than one file of ratings (x/a.inter, x/b.inter)" in refusal(source("rb", inter)).message
    mixed = {"ratings.csv": RATINGS, "x.inter": INTER}
    assert "holds files of MovieLens" in refusal(source("mixed", mixed)).message


def test_the_file_of_ratings_that_is_named_is_the_one_that_is_read(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {"ratings.csv": RATINGS, "movies.csv": MOVIES, **DAT})
    assert ratings_of(source / "ratings.dat") == [(1, 10, 3.0, 7)]
    assert len(ratings_of(source / "ratings.csv")) == 3


def test_a_zip_without_ratings_says_what_it_holds(tmp_path: Path) -> None:
    inside = packed(tmp_path / "all.zip", {"data\\ml-1m.zip": "x", "readme.txt": "y"})
    assert refusal(inside).message == f"{inside} holds no ratings but another zip (data/ml-1m.zip)."
    nothing = packed(tmp_path / "no.zip", {"readme.txt": "y"})
    assert f"{nothing} holds no ratings: looked for ratings.csv" in refusal(nothing).message
    half = packed(tmp_path / "half.zip", {"ml\\ratings.csv": RATINGS})
    assert refusal(half).message == f"{half}: ml has ratings.csv but no movies.csv beside it."


def test_the_same_files_zipped_or_not_have_the_same_hashes(tmp_path: Path) -> None:
    plain = folder_of(tmp_path / "plain", {"ratings.csv": RATINGS, "movies.csv": MOVIES})
    windows = packed(tmp_path / "w.zip", {"ml\\RATINGS.CSV": RATINGS, "ml\\Movies.csv": MOVIES})
    assert hash_source(plain) == hash_source(windows, SILENT)
