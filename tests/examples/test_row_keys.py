"""A row has the same keys in every form, and another row has others; a run's record of rows is read back as written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.examples.example_set import ListedExamples
from movielora.examples.importers.records import read_records
from movielora.examples.load import ExampleLoader
from movielora.examples.row_keys import RowKeys, row_keys
from movielora.examples.trained_rows import TrainedRows
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Histories of 12 films: more than a question is known by."""
    root = tmp_path_factory.mktemp("keys")
    write_synthetic_movielens(root / "ratings", SyntheticSize(20, 60, 20, 30))
    prepare(root / "ratings", root / "d", PrepareOptions(history_len=12), SILENT)
    return root / "d"


def records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def keys_of(rows: list[dict[str, Any]], folder: Path) -> RowKeys:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return row_keys(ListedExamples.of("rows", read_records(path)))


def known(keys: RowKeys) -> list[tuple[int, int]]:
    return list(zip(keys.event.tolist(), keys.question.tolist(), strict=True))


@pytest.mark.parametrize("name", ["train.json", "test_raw.jsonl"])
def test_columns_and_both_exported_forms_have_the_same_keys(dataset: Path, tmp_path: Path, name: str) -> None:
    columns = row_keys(ExampleLoader().open(dataset / name))
    exported = keys_of(records(dataset / name), tmp_path)
    assert known(columns) == known(exported)
    assert columns.has_event.all()
    assert exported.has_event.all()
    assert not (columns.is_text | exported.is_text).any()


def test_every_row_of_a_dataset_has_its_own_keys(dataset: Path) -> None:
    loader = ExampleLoader()
    keys = [row_keys(loader.open(dataset / name)) for name in ("train.json", "eval.json", "test_raw.jsonl")]
    events, questions = (np.concatenate([getattr(each, name) for each in keys]) for name in ("event", "question"))
    assert len(np.unique(events)) == len(np.unique(questions)) == len(events)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: (
            row | {"history_titles": row["history_titles"][-8:], "history_ratings": row["history_ratings"][-8:]}
        ),
        lambda row: row | {"candidate_title": f"  {row['candidate_title'].upper()} "},
        lambda row: row | {"user_id": str(row["user_id"]), "timestamp": row["timestamp"] + 0.5},
        lambda row: row | {"label": "No" if row["label"] == "Yes" else "Yes"},
    ],
    ids=["a shorter history", "a title written otherwise", "ids as text", "another answer"],
)
def test_the_same_row_written_otherwise_has_the_same_keys(
    dataset: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    rows = records(dataset / "test_raw.jsonl")
    assert known(keys_of([change(row) for row in rows], tmp_path)) == known(keys_of(rows, tmp_path))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda row: row | {"user_id": 10_000}, "question"),
        (lambda row: row | {"movie_id": 10_000}, "question"),
        (lambda row: row | {"timestamp": row["timestamp"] + 1}, "question"),
        (lambda row: row | {"candidate_title": "Another"}, "event"),
        (lambda row: row | {"history_titles": [*row["history_titles"][:-1], "Another"]}, "event"),
        (lambda row: row | {"history_titles": row["history_titles"][::-1]}, "event"),
        (lambda row: row | {"history_ratings": [0.5, *row["history_ratings"][:-1]]}, "event"),
        (lambda row: {key: value for key, value in row.items() if key != "history_ratings"}, "event"),
    ],
)
def test_another_row_has_another_key(
    dataset: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], same: str
) -> None:
    rows = records(dataset / "test_raw.jsonl")[:1]
    before, after = keys_of(rows, tmp_path), keys_of([change(row) for row in rows], tmp_path)
    assert [name for name in ("event", "question") if getattr(before, name) == getattr(after, name)] == [same]


def test_a_row_is_found_by_its_event_or_else_by_its_question(dataset: Path) -> None:
    loader = ExampleLoader()
    train, test = (row_keys(loader.open(dataset / name)) for name in ("train.json", "test_raw.jsonl"))
    recorded = TrainedRows.of(train)
    assert [part.sum() for part in recorded.holds(train)] == [len(train), 0]
    assert [part.sum() for part in recorded.holds(test)] == [0, 0]
    none = np.zeros(len(train), dtype=bool)
    nameless = replace(train, has_event=none)
    assert recorded.holds(nameless)[0].all()
    assert TrainedRows.of(nameless).holds(train)[0].all()
    assert TrainedRows.of(nameless).holds(nameless)[0].all()
    # The same question under other ids is the same row: two users do not rate eight films alike, one after the other.
    other_ids = replace(train, event=train.event + np.uint64(1))
    assert recorded.holds(other_ids)[0].all()
    # Few films may be another user's: it is not known.
    few = replace(other_ids, films=np.full(len(train), 7))
    assert [part.sum() for part in recorded.holds(few)] == [0, len(train)]
    # What is text on one side and films on the other cannot be compared without an event.
    text = replace(nameless, is_text=~none)
    assert [part.sum() for part in recorded.holds(text)] == [0, len(train)]
    assert [part.sum() for part in TrainedRows.of(text).holds(test)] == [0, len(test)]


@pytest.mark.parametrize("films", [7, 3, 2, 0])
@pytest.mark.parametrize("cut", ["judged", "trained", "ids too"])
def test_a_row_with_a_shorter_history_is_never_said_to_be_new(
    dataset: Path, tmp_path: Path, films: int, cut: str
) -> None:
    """Without ids; of the rows that were not trained on, all but those of too few films are new."""

    def cut_short(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = 12 - films
        kept = ("candidate_title", "label", *(("user_id", "movie_id", "timestamp") if cut == "ids too" else ()))
        return [
            {key: row[key] for key in kept} | {key: row[key][first:] for key in ("history_titles", "history_ratings")}
            for row in rows
        ]

    rows = [row for row in records(dataset / "test_raw.jsonl") if len(row["history_titles"]) == 12]
    whole, short = keys_of(rows, tmp_path), keys_of(cut_short(rows), tmp_path)
    half = np.arange(len(rows)) < len(rows) // 2
    if cut == "ids too":  # whose ids are still known
        assert np.array_equal(TrainedRows.of(whole.select(np.flatnonzero(half))).holds(short)[0], half)
        return
    trained, judged = (whole, short) if cut == "judged" else (short, whole)
    found, unknown = TrainedRows.of(trained.select(np.flatnonzero(half))).holds(judged)
    if films >= 3:
        assert np.array_equal(found | unknown, half)
    elif cut == "judged":
        assert unknown.all()


def test_the_record_is_read_back_as_written_and_small(dataset: Path, tmp_path: Path) -> None:
    loader = ExampleLoader()
    train, evaluation = (row_keys(loader.open(dataset / name)) for name in ("train.json", "eval.json"))
    written = TrainedRows.of(train, evaluation)
    written.write(tmp_path)
    back = TrainedRows.read(tmp_path)
    assert back is not None
    assert back.keys.keys() == written.keys.keys()
    assert all(np.array_equal(back.keys[part], keys) for part, keys in written.keys.items())
    assert (back.count(), back.count("eval")) == (len(train), len(evaluation))
    assert [path.name for path in tmp_path.iterdir()] == ["training_rows.parquet"]
    assert TrainedRows.read(tmp_path / "elsewhere") is None


def test_78_000_rows_are_1_2_megabytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    event, question = random.integers(0, 1 << 64, (2, 78_000), dtype=np.uint64)
    every = np.ones(78_000, dtype=bool)
    films = np.full(78_000, 8)
    TrainedRows.of(RowKeys(event, every, question, ~every, question[::-1], films)).write(tmp_path)
    assert (tmp_path / "training_rows.parquet").stat().st_size < 1_200_000


def test_rows_of_two_attempts_are_joined(dataset: Path) -> None:
    train = row_keys(ExampleLoader().open(dataset / "train.json"))
    halves = [TrainedRows.of(train.select(rows)) for rows in np.array_split(np.arange(len(train)), 2)]
    assert halves[0].count() < len(train)
    both = halves[0].joined(halves[1]).joined(None).joined(halves[0])
    assert both.count() == len(train)
    assert both.holds(train)[0].all()


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_damaged_record_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training_rows.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"training_rows\.parquet cannot be read"):
        TrainedRows.read(tmp_path)


def test_a_record_of_another_version_is_named(tmp_path: Path) -> None:
    frame = pl.DataFrame({"use": ["train"], "kind": ["dream"], "step": pl.Series([1], dtype=pl.UInt64)})
    frame.write_parquet(tmp_path / "training_rows.parquet")
    with pytest.raises(DataError, match="another version"):
        TrainedRows.read(tmp_path)
    frame.drop("kind").write_parquet(tmp_path / "training_rows.parquet")
    with pytest.raises(DataError, match="cannot be read"):
        TrainedRows.read(tmp_path)
