"""Records whose fields have other names: training, audit, doctor and comparisons read what the entry says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.dataset.find import find_columns, find_dataset
from movielora.dataset.info.entry import RecordColumns
from movielora.dataset.info.file_columns import FileColumns
from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.evaluation.features.split import split_features
from movielora.examples.importers.records import file_content_hash, read_records
from movielora.examples.load import ExampleLoader
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.prompt.render import render
from movielora.prompt.spec import PromptSpec
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens
from movielora.training.examples import load_examples
from movielora.training.identity import run_identity

QUESTION = {"prompt": "question", "response": "answer"}
COLUMNS = RecordColumns("entry `x`", "question", None, "answer")


def record(place: int) -> dict[str, Any]:
    """Also holds the usual fields, which say the opposite."""
    yes, no = ("Yes", "No") if place % 3 else ("No", "Yes")
    question = f"Rated films:\n1. Heat (1995): 4.5\nCandidate film: Ran {place}\nWill this user like it?"
    usual = {"instruction": "Judge.", "input": "Nothing.", "output": no}
    return {"question": question, "answer": yes, "user_id": place, **usual}


@pytest.fixture
def project(tmp_path: Path, tiny_base: Path) -> Path:
    """Twelve records and an entry that names their fields, a test file beside them that no entry names."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("t.json", "test_raw.jsonl"):
        (data / name).write_text("\n".join(json.dumps(record(place)) for place in range(12)) + "\n")
    entry = {"file_name": "t.json", "file_name_eval": "t.json", "formatting": "alpaca", "columns": QUESTION}
    (data / "dataset_info.json").write_text(json.dumps({"x_train": entry}))
    (tmp_path / "c.yaml").write_text(f"model_name_or_path: {tiny_base}\ndataset: x_train\ncutoff_len: 400\n")
    return tmp_path


def movielora(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movielora", *words]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=200)


def test_the_answer_and_the_question_come_from_the_mapped_fields(project: Path) -> None:
    examples = list(read_records(project / "data" / "t.json", COLUMNS))
    assert [example.label for example in examples] == [place % 3 != 0 for place in range(12)]
    asked = render(examples[0], PromptSpec())
    assert (asked.input, asked.history) == (record(0)["question"], "1. Heat (1995): 4.5\n")
    assert (examples[4].user, examples[4].text and examples[4].text.system) == (4, None)
    both = RecordColumns("entry `x`", "instruction", "question", "answer", system="output", history=None)
    asked = render(next(read_records(project / "data" / "t.json", both)), PromptSpec())
    assert (asked.instruction, asked.input, asked.system) == ("Judge.", record(0)["question"], "Yes")


def test_every_reader_agrees(project: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [int(place % 3 != 0) for place in range(12)]
    monkeypatch.chdir(project)
    resolved = resolve_config(Path("c.yaml"), ())
    files = find_dataset(resolved)
    trained = load_examples(resolved.values, files, tiny_tokenizer, SILENT)
    assert trained.train.labels.tolist() == wanted
    assert trained.evaluation is not None
    assert trained.evaluation.labels.tolist() == wanted
    assert "Ran 0" in tiny_tokenizer.decode(trained.train.prompt(0).tolist())
    # the test file beside it, which no entry names, brings the same fields
    loader = ExampleLoader(columns=find_columns(resolved))
    test = split_features(loader.open(Path("data/test_raw.jsonl")), 4.0)
    assert (test.labels.tolist(), test.titles[0], test.like_share[0]) == (wanted, "Ran 0", 1.0)
    traced = movielora(project, "audit", "-c", "c.yaml", "--show-examples", "2", "--json")
    assert [example["answer"].removesuffix("<|im_end|>") for example in json.loads(traced.stdout)["examples"]] == [
        "No",
        "Yes",
    ]
    assert "is read as entry `x_train` of data/dataset_info.json says: prompt `question`" in traced.stderr
    plan = movielora(project, "train", "-c", "c.yaml", "--dry-run", "--json")
    assert json.loads(plan.stdout)["examples"] == 12, plan.stderr


def test_a_changed_entry_is_other_data_for_the_cache_and_for_a_resume(
    project: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    resolved = resolve_config(Path("c.yaml"), ())
    notes: list[str] = []
    listener = SimpleNamespace(phase=SILENT.phase, note=notes.append, warn=notes.append)

    def labels() -> list[int]:
        notes.clear()
        found = load_examples(resolved.values, find_dataset(resolved), tiny_tokenizer, listener).train.labels.tolist()
        return list(found)

    def identity() -> str:
        return run_identity(resolved.values, find_dataset(resolved), resolved.values.model_name_or_path)[
            "training data"
        ]

    by_columns, first = labels(), identity()
    assert labels() == by_columns
    assert notes.count("Tokens of data/t.json come from the cache") == 2  # of both splits
    info = project / "data" / "dataset_info.json"
    info.write_text(json.dumps({"x_train": {"file_name": "t.json", "file_name_eval": "t.json"}}))
    assert labels() == [1 - label for label in by_columns]
    assert notes.count("Tokens of data/t.json come from the cache") == 1
    assert identity() != first
    assert identity() == file_content_hash(project / "data" / "t.json", None)  # as it was before columns were honoured


def _without(field: str) -> Callable[[int], dict[str, Any]]:
    return lambda place: {key: value for key, value in record(place).items() if key != field or place == 0}


@pytest.mark.parametrize(
    ("make", "columns", "said"),
    [
        (_without("question"), COLUMNS, "line 2 has no `question`, which entry `x` names as its prompt"),
        (_without("answer"), COLUMNS, "line 2 has no `answer`, which entry `x` names as its response"),
        (lambda place: record(place) | {"answer": "perhaps"}, COLUMNS, 'line 1: `answer` is "perhaps"'),
        (lambda place: record(place) | {"question": " "}, COLUMNS, "line 1: `question` is empty"),
        (lambda place: record(place) | {"question": 3}, COLUMNS, "line 1: `question` must be text"),
        (
            record,
            RecordColumns("entry `x`", "question", "inputt", "answer"),
            "has `inputt`, which entry `x` names as its query",
        ),
        (
            lambda place: {"history_titles": ["Heat"], "candidate_title": "Ran", "label": "Yes"},
            COLUMNS,
            "line 1 has no `question`",
        ),
    ],
)
def test_a_record_that_does_not_fit_its_columns_is_named(
    tmp_path: Path, make: Callable[[int], dict[str, Any]], columns: RecordColumns, said: str
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(make(place)) + "\n" for place in range(3)))
    with pytest.raises(DataError) as caught:
        list(read_records(path, columns))
    assert said in caught.value.message
    assert caught.value.next_step or "must be text" in said or "empty" in said


def test_an_optional_field_may_be_in_some_records_only(tmp_path: Path) -> None:
    columns = RecordColumns("entry `x`", "question", None, "answer", system="role")
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(record(0)) + "\n" + json.dumps(record(1) | {"role": "Judge"}) + "\n")
    systems = [example.text and example.text.system for example in read_records(path, columns)]
    assert systems == [None, "Judge"]


TITLES = {"history_titles": ["Heat"], "history_ratings": [4], "candidate_title": "Ran", "label": "Yes"}
ALPACA = {"instruction": "Judge.", "input": "Ran?", "output": "No"}


def write_lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_test_file_without_the_fields_is_read_by_the_records_own_forms(tmp_path: Path) -> None:
    found = list(read_records(write_lines(tmp_path / "test.jsonl", TITLES, ALPACA), COLUMNS.where_present()))
    assert [example.label for example in found] == [True, False]
    assert found[0].candidate == "Ran"


@pytest.mark.parametrize(("rows", "said"), [((0, 1), ("line 2", "line 1")), ((1, 0), ("line 1", "line 2"))])
def test_a_test_file_that_mixes_both_is_refused_by_its_lines(
    rows: tuple[int, int], said: tuple[str, str], tmp_path: Path
) -> None:
    """A record that has both answers would be read by another than its neighbours."""
    path = write_lines(tmp_path / "test.jsonl", *[(ALPACA, record(1) | ALPACA)[row] for row in rows])
    with pytest.raises(DataError) as caught:
        list(read_records(path, COLUMNS.where_present()))
    assert f"{said[0]} has the fields that entry `x` names" in caught.value.message
    assert f"{said[1]} has not" in caught.value.message


class Noting(type(SILENT)):  # type: ignore[misc]
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_file_that_is_read_by_trainings_columns_is_noted(tmp_path: Path) -> None:
    for row, said in ((record(1), True), (ALPACA, False)):
        reporter = Noting()
        columns = FileColumns(otherwise=COLUMNS.where_present())
        ExampleLoader(reporter=reporter, columns=columns).open(write_lines(tmp_path / "test.jsonl", row))
        assert any("is read as entry `x` says" in note for note in reporter.notes) == said


@pytest.mark.parametrize("beside", ["own", "own/deeper"])
@pytest.mark.parametrize("dataset_dir", [None, "elsewhere"])
def test_the_entry_beside_a_named_file_counts_wherever_the_datasets_are(
    beside: str, dataset_dir: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(beside)
    folder.mkdir(parents=True)
    file = write_lines(folder / "rows.jsonl", record(0) | {"truth": "Yes"}, record(1) | {"truth": "No"})
    entry = {"file_name": os.path.relpath(file, "own"), "columns": {"prompt": "question", "response": "truth"}}
    Path("own/dataset_info.json").write_text(json.dumps({"mine": entry, "broken": {"file_name": 3}}))
    values = [f"train_file={file}", "eval_strategy=no"]
    if dataset_dir:
        Path(dataset_dir).mkdir()
        values.append(f"dataset_dir={dataset_dir}")
        Path(dataset_dir, "dataset_info.json").write_text("{}")
    found = find_columns(resolve_config(None, values))
    assert [example.label for example in ExampleLoader(columns=found).open(file)] == [True, False]
    if dataset_dir:
        other = {"mine": {"file_name": f"../{file}", "columns": {"prompt": "question", "response": "answer"}}}
        Path(dataset_dir, "dataset_info.json").write_text(json.dumps(other))
        with pytest.raises(DataError) as caught:
            ExampleLoader(columns=find_columns(resolve_config(None, values))).open(file)
        assert "own/dataset_info.json" in caught.value.message
        assert "elsewhere/dataset_info.json" in caught.value.message


def test_columns_for_an_exported_file_are_honoured_or_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_synthetic_movielens(Path("source"), SyntheticSize(users=6, films=40, least_ratings=20, mean_ratings=25))
    prepare(Path("source"), Path("data/set"), PrepareOptions(history_len=3))
    files = {"file_name": "set/train.json", "file_name_eval": "set/eval.json"}
    alike = {"prompt": "instruction", "query": "input", "response": "output"}
    entries = {
        "alike": files | {"columns": alike},
        "bare": files | {"columns": {"prompt": "input", "response": "output"}},
    }
    Path("data/dataset_info.json").write_text(json.dumps(entries))

    def opened(dataset: str) -> Any:
        found = find_dataset(resolve_config(None, [f"dataset={dataset}"]))
        return ExampleLoader(columns=found.columns).open(found.train)

    assert opened("alike")[0].text is None  # the columns of the dataset
    bare = opened("bare")[0]
    assert bare.text.instruction == ""
    assert bare.text.input == json.loads(Path("data/set/train.json").read_text())[0]["input"]
