"""A film that a user rated twice: the last rating counts, and no history shows its own question's candidate."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.dataset.dataset import Dataset
from movielora.dataset.find import TrainingSplits
from movielora.dataset.options import PrepareOptions
from movielora.examples.example_set import ListedExamples
from movielora.examples.importers.records import read_records
from movielora.examples.load import ExampleLoader
from movielora.examples.shown_candidates import count_shown_candidates
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.training.examples import load_examples

HISTORY = ("--history-len", "4")


def movielora(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movielora", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """10 users who rate 30 times among 12 films."""
    draw = random.Random(3)  # noqa: S311 - no secret
    rows = [(user, draw.randrange(12), draw.choice((2, 5)), 1000 * place) for user in range(10) for place in range(30)]
    folder = tmp_path / "source"
    folder.mkdir()
    lines = "".join(f"{user},{film},{stars},{time}\n" for user, film, stars, time in rows)
    (folder / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{lines}")
    films = "".join(f"{film},Film {film} (1990),Drama\n" for film in range(12))
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{films}")
    return folder


@pytest.fixture
def of_an_earlier_version(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset as it was prepared before: repeated ratings kept and counted under their former key."""
    with monkeypatch.context() as earlier:
        earlier.setattr("movielora.preparation.prepare.drop_repeats", lambda timelines: (timelines, 0))
        prepare(source, tmp_path / "data" / "old", PrepareOptions(history_len=4))
    meta = json.loads((tmp_path / "data" / "old" / "meta.json").read_text())
    del meta["ratings_repeated_dropped"]
    meta["ratings_repeated"] = 180
    (tmp_path / "data" / "old" / "meta.json").write_text(json.dumps(meta))
    return tmp_path / "data" / "old"


def test_prepare_drops_and_counts_them(source: Path, tmp_path: Path) -> None:
    said = movielora("prepare", "--source", source, "--output-dir", tmp_path / "set", *HISTORY)
    rated = [line.split(",")[:2] for line in (source / "ratings.csv").read_text().splitlines()[1:]]
    dropped = len(rated) - len({tuple(pair) for pair in rated})
    assert f"{dropped:,} ratings dropped: the user rated the same film again, and the last counts." in said.stdout
    meta = json.loads((tmp_path / "set" / "meta.json").read_text())
    assert (meta["ratings"], meta["ratings_repeated_dropped"]) == (300 - dropped, dropped)
    again = movielora("prepare", "--source", source, "--output-dir", tmp_path / "set", *HISTORY, "--json")
    assert json.loads(again.stdout)["ratings_repeated_dropped"] == dropped
    for name in ("train.json", "eval.json", "test_raw.jsonl"):
        assert count_shown_candidates(ExampleLoader().open(tmp_path / "set" / name)) == 0
    shown = [(row["candidate_title"], row["history_titles"]) for row in _test_rows(tmp_path / "set")]
    assert not any(candidate in history for candidate, history in shown)


def test_a_dataset_that_kept_them_is_not_taken_for_the_same(of_an_earlier_version: Path, source: Path) -> None:
    words = ("prepare", "--source", source, "--output-dir", of_an_earlier_version, *HISTORY)
    before = (of_an_earlier_version / "interactions.parquet").read_bytes()
    done = movielora(*words)
    assert done.returncode == 2
    assert "which kept a user's earlier ratings of a film: 180 of them." in done.stderr
    assert "next:  --overwrite replaces it" in done.stderr
    assert (of_an_earlier_version / "interactions.parquet").read_bytes() == before
    assert movielora(*words, "--overwrite").returncode == 0
    assert "Nothing to do" in movielora(*words).stdout


def test_columns_and_their_export_count_the_same_rows(of_an_earlier_version: Path) -> None:
    rows = _test_rows(of_an_earlier_version)
    by_hand = sum(row["candidate_title"] in row["history_titles"] for row in rows)
    assert 0 < by_hand < len(rows)
    assert count_shown_candidates(ExampleLoader().open(of_an_earlier_version / "test")) == by_hand
    for split in ("train", "eval"):
        columns = ExampleLoader().open(of_an_earlier_version / split)
        text = list(read_records(of_an_earlier_version / f"{split}.json"))
        assert count_shown_candidates(columns) == count_shown_candidates(text) > 0
    # a longer history than was prepared shows more
    dataset = Dataset.open(of_an_earlier_version)
    longer = count_shown_candidates(ExampleLoader(20).open(of_an_earlier_version / "test"))
    owner = dataset.timelines.user_index(dataset.events["test"])
    starts = dataset.timelines.starts[owner].tolist()
    items = dataset.timelines.item.tolist()
    wanted = [
        items[event] in items[max(start, event - 20) : event]
        for start, event in zip(starts, dataset.events["test"].tolist(), strict=True)
    ]
    assert longer == sum(wanted) > by_hand


def test_films_that_share_a_title_are_counted(source: Path, tmp_path: Path) -> None:
    """Two ids with one shown title, written with the article before and behind: rows show their own answer."""
    films = (source / "movies.csv").read_text().splitlines()
    twice = {1: '1,"Matrix, The (1999)",Drama', 2: "2,The Matrix (1999),Drama"}
    text = "\n".join([films[0], *(twice.get(int(line.split(",")[0]), line) for line in films[1:])])
    (source / "movies.csv").write_text(text)
    movielora("prepare", "--source", source, "--output-dir", tmp_path / "set", *HISTORY)
    by_hand = sum(
        "Matrix" in row["candidate_title"] and any("Matrix" in title for title in row["history_titles"])
        for row in _test_rows(tmp_path / "set")
    )
    assert count_shown_candidates(ExampleLoader().open(tmp_path / "set" / "test_raw.jsonl")) == by_hand > 0
    for name in ("train.json", "eval.json", "test_raw.jsonl"):
        path = tmp_path / "set" / name
        text = count_shown_candidates(ListedExamples.of("text", read_records(path)))
        assert count_shown_candidates(ExampleLoader().open(path)) == text


def test_audit_compare_and_training_warn_with_the_count(
    of_an_earlier_version: Path, tmp_path: Path, tiny_tokenizer: Any
) -> None:
    (tmp_path / "c.yaml").write_text("dataset: old_train\neval_strategy: 'no'\n")
    rows = _test_rows(of_an_earlier_version)
    count = sum(row["candidate_title"] in row["history_titles"] for row in rows)
    wanted = f"{count} of {len(rows)} examples of "
    audit = movielora("audit", "-c", "c.yaml", "--split", "test", "--char-only", "--json", cwd=tmp_path)
    assert json.loads(audit.stdout)["candidates_shown"] == count
    assert wanted in audit.stderr
    assert "show the candidate itself in the history" in audit.stderr
    # a foreign file: the same rows without the columns
    test, scores = tmp_path / "foreign.jsonl", tmp_path / "scores.jsonl"
    test.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores.write_text(
        "".join(json.dumps({"log_odds": place % 7 - 3, "label": row["label"]}) + "\n" for place, row in enumerate(rows))
    )
    compared = movielora("compare", "--predictions", scores, "--test-file", test, cwd=tmp_path)
    assert wanted in " ".join(compared.stderr.split()), compared.stderr
    assert compared.returncode == 0
    warnings: list[str] = []
    listener = SimpleNamespace(phase=SILENT.phase, note=SILENT.note, warn=warnings.append)
    config = resolve_config(None, ["cutoff_len=2000", f"preprocessing_cache_dir={tmp_path / 'cache'}"]).values
    load_examples(config, TrainingSplits(of_an_earlier_version / "train.json", None), tiny_tokenizer, listener)
    train = count_shown_candidates(ExampleLoader().open(of_an_earlier_version / "train"))
    assert [f"{train} of " in warning for warning in warnings] == [True]


def _test_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "test_raw.jsonl").read_text().splitlines()]
