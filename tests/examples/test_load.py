"""Opening a split: the columns of a prepared dataset, its exported file if that was edited, or any file of records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from movielora.dataset.dataset import Dataset
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.examples.columns import read_columns
from movielora.examples.example_set import ListedExamples
from movielora.examples.load import ExampleLoader
from movielora.examples.timeline_examples import TimelineExamples
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens
from movielora.sources.titles import natural_title


class Listener:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.phase = SILENT.phase

    def note(self, text: str) -> None:
        return

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    size = SyntheticSize(users=6, films=30, least_ratings=8, mean_ratings=12)
    write_synthetic_movielens(tmp_path / "ratings", size)
    prepare(tmp_path / "ratings", tmp_path / "d", PrepareOptions(history_len=4), SILENT)
    return tmp_path / "d"


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["train.json", "train.jsonl", "train", "eval.json", "test_raw.jsonl", "test"])
def test_a_split_is_named_as_its_file_is_or_would_be_named(folder: Path, name: str) -> None:
    examples = ExampleLoader().open(folder / name)
    assert isinstance(examples, TimelineExamples)
    there = (folder / name).is_file()
    split = {"test_raw": "test"}.get(Path(name).stem, Path(name).stem)
    assert examples.name == (str(folder / name) if there else f"{folder}, {split}")


def test_columns_and_their_export_are_the_same_examples(folder: Path) -> None:
    """`test_raw.jsonl` brings films as lists, titles as the dataset shows them; edited, it is read as records."""
    columns = list(ExampleLoader().open(folder / "test_raw.jsonl"))
    edit(folder / "test_raw.jsonl")
    listener = Listener()
    records = ExampleLoader(reporter=listener).open(folder / "test_raw.jsonl")
    assert isinstance(records, ListedExamples)
    assert listener.warnings == [
        f"{folder / 'test_raw.jsonl'} was edited since it was prepared: the file is read, not the columns"
    ]
    for one, two in zip(columns, records, strict=True):
        assert [(natural_title(film.title), film.rating) for film in one.history or ()] == [
            (film.title, film.rating) for film in two.history or ()
        ]
        assert (natural_title(one.candidate or ""), one.label, one.user, one.item, one.time) == (
            two.candidate, two.label, two.user, two.item, two.time,
        )  # fmt: skip
    assert any("," in film.title for example in columns for film in example.history or ())
    assert read_columns(ExampleLoader().open(folder / "test")).titles == read_columns(records).titles


def test_a_dataset_says_how_it_shows_titles_edited_or_not(folder: Path) -> None:
    for name in ("train.json", "test"):
        assert ExampleLoader().dataset_titles(folder / name) == "natural"
    edit(folder / "train.json")
    assert ExampleLoader().dataset_titles(folder / "train.json") == "natural"
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    assert meta["titles"] == meta["options"].pop("titles") == "natural"
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")  # as an earlier version wrote it
    assert ExampleLoader().dataset_titles(folder / "train.json") == "as_given"
    (folder.parent / "mine.json").write_text("[]", encoding="utf-8")
    assert ExampleLoader().dataset_titles(folder.parent / "mine.json") == "as_given"


def test_an_edit_is_reported_once_and_changes_the_content_hash(folder: Path) -> None:
    path = folder / "test_raw.jsonl"
    before = ExampleLoader().content_hash(path)
    assert before != ExampleLoader().content_hash(folder / "train.json")
    edit(path)
    listener = Listener()
    loader = ExampleLoader(reporter=listener)
    for _ in range(2):
        loader.open(path)
        assert loader.content_hash(path) != before
        assert loader.showing(2).dataset_history_len(path) is None
    assert len(listener.warnings) == 1
    assert loader.dataset_history_len(folder / "train.json") == 4


def test_columns_that_changed_are_refused_and_hashed_once_a_dataset(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is identified by the hashes of meta.json: other columns must not be trained on under them."""
    hashed: list[str] = []
    real = Dataset.verify
    monkeypatch.setattr(Dataset, "verify", lambda dataset: (hashed.append(dataset.folder.name), real(dataset)))
    loader = ExampleLoader()
    for name in ("train.json", "eval.json"):
        loader.open(folder / name)
    loader.showing(2).open(folder / "test_raw.jsonl")
    assert hashed == ["d"]
    path = folder / "films.parquet"
    content = bytearray(path.read_bytes())
    content[content.index(b"Polars")] += 1  # the name of the writer: the file is read as before
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"films\.parquet is damaged: its hash differs"):
        ExampleLoader().open(folder / "train.json")


@pytest.mark.parametrize("edited", [False, True])
def test_a_loader_keeps_the_newest_films_of_columns_and_of_records(folder: Path, edited: bool) -> None:
    whole = list(ExampleLoader().open(folder / "test_raw.jsonl"))
    if edited:
        edit(folder / "test_raw.jsonl")
    kept = ExampleLoader(2).open(folder / "test_raw.jsonl")
    for one, two in zip(kept, whole, strict=True):
        titles = [film.title for film in two.history or ()]
        assert [natural_title(film.title) for film in one.history or ()] == list(map(natural_title, titles[-2:]))
    assert read_columns(kept).history_length.tolist() == [2] * len(whole)


def test_a_foreign_file_in_a_prepared_folder_is_read_as_it_is(folder: Path) -> None:
    row = {"history_titles": ["A"], "candidate_title": "B", "label": "Yes"}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    examples = ExampleLoader().open(folder / "train.jsonl")
    assert (len(examples), examples[0].candidate) == (1, "B")
