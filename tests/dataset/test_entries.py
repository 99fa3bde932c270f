"""Entries of `dataset_info.json`: every field is honoured, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.dataset.find import find_columns, find_dataset
from movielora.dataset.info.entry import read_entry
from movielora.errors import DataError

INFO = Path("data/dataset_info.json")
USUAL = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
QUESTION = {"prompt": "question", "response": "answer"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"formatting": "alpaca", "columns": USUAL},
        {"formatting": None, "columns": None, "ranking": False, "split": "train", "num_samples": None, "tags": {}},
    ],
)
def test_what_asks_for_nothing_is_accepted(more: dict[str, Any]) -> None:
    found = read_entry(INFO, "x", {"file_name": "t.json", "file_name_eval": "e.json"} | more)
    assert (found.file_name, found.file_name_eval, found.columns) == ("t.json", "e.json", None)


def test_columns_are_those_that_are_listed_and_no_others() -> None:
    columns = read_entry(INFO, "x", {"file_name": "t.json", "columns": QUESTION | {"system": None}}).columns
    assert columns is not None
    assert columns.names == QUESTION
    assert not columns.are_of_an_export
    part = read_entry(INFO, "x", {"columns": {role: USUAL[role] for role in ("prompt", "query", "response")}}).columns
    assert part is not None
    assert part.are_of_an_export
    assert part.key != columns.key


@pytest.mark.parametrize(
    ("more", "said", "next_step"),
    [
        ({"formatting": "sharegpt"}, "has `formatting: sharegpt`, which movielora does not read", "alpaca"),
        ({"formatting": 3}, "has `formatting: 3`", "alpaca"),
        ({"tags": {"role_tag": "from"}}, 'has `tags: {"role_tag": "from"}`', "conversations"),
        ({"ranking": True}, "has `ranking: true`", "preference"),
        ({"hf_hub_url": "a/b"}, "has `hf_hub_url: a/b`", "as a file"),
        ({"ms_hub_url": "a/b"}, "has `ms_hub_url: a/b`", "as a file"),
        ({"script_url": "a/b"}, "has `script_url: a/b`", "as a file"),
        ({"cloud_file_name": "s3"}, "has `cloud_file_name: s3`", "as a file"),
        ({"subset": "a"}, "has `subset: a`", "as a file"),
        ({"folder": "a"}, "has `folder: a`", "as a file"),
        ({"split": "test"}, "has `split: test`", "as a file"),
        ({"num_samples": 5}, "has `num_samples: 5`, which movielora does not honour", "max_samples"),
        ({"num_samples": 0}, "has `num_samples: 0`", "max_samples"),
        ({"colums": QUESTION}, "has an unknown field `colums`; did you mean `columns`?", "remove it"),
        ({"note": "mine"}, "has an unknown field `note`", "remove it"),
        ({"columns": ["question"]}, "`columns` must be an object such as", "remove it"),
        ({"columns": {"promt": "q", "response": "a"}}, "unknown name `promt`; did you mean `prompt`?", "remove it"),
        ({"columns": QUESTION | {"messages": "m"}}, "`columns` names `messages`", "prompt, query, response"),
        ({"columns": QUESTION | {"chosen": "m"}}, "`columns` names `chosen`", "prompt, query, response"),
        ({"columns": QUESTION | {"query": 3}}, "the column `query` must be the name of a field, not 3", "remove it"),
        ({"columns": QUESTION | {"query": ""}}, "the column `query` must be the name of a field", "remove it"),
        ({"columns": {"prompt": "q"}}, "`columns` names no `response`", "name the field"),
        ({"columns": {"response": "a"}}, "`columns` names no `prompt`", "name the field"),
        ({"columns": {}}, "`columns` names no `response`", "name the field"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(more: dict[str, Any], said: str, next_step: str) -> None:
    with pytest.raises(DataError) as caught:
        read_entry(INFO, "x", {"file_name": "t.json"} | more)
    assert caught.value.message.startswith("data/dataset_info.json: entry `x`")
    assert said in caught.value.message
    assert next_step in caught.value.next_step
    assert "\n" not in caught.value.message


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("t.json", "e.json", "other.json"):
        (tmp_path / "data" / name).write_text("[]")
    return tmp_path


def write(entries: dict[str, Any]) -> None:
    INFO.write_text(json.dumps(entries))


def named(path: str, *overrides: str) -> dict[str, str] | None:
    columns = find_columns(resolve_config(None, overrides)).of(Path(path))
    return columns and columns.names


def test_a_file_is_read_as_the_entry_that_the_config_means_says(here: Path) -> None:
    own, other = {"prompt": "p", "response": "r"}, {"prompt": "o", "response": "r"}
    write(
        {
            "x_train": {"file_name": "t.json", "file_name_eval": "e.json", "columns": QUESTION},
            "y": {"file_name": "t.json", "file_name_eval": "other.json", "columns": own},
            "z": {"file_name": "e.json", "columns": other},
            "talk": {"file_name": "other.json", "formatting": "sharegpt"},  # none of this config's business
        }
    )
    assert named("data/t.json", "dataset=x_train") == named("data/e.json", "dataset=x_train") == QUESTION
    assert named("data/t.json", "dataset=y_train") == own  # `y_train` means the entry `y`
    assert named("data/e.json", "dataset=x_train", "eval_dataset=z") == other
    # a file that another entry names, by another path
    assert named(str(here / "data" / ".." / "data" / "other.json"), "dataset=x_train") == own
    # and one that no entry names: as in training where the fields are there
    columns = find_columns(resolve_config(None, ["dataset=x_train"])).of(Path("data/test.json"))
    assert columns is not None
    assert (columns.names, columns.if_present) == (QUESTION, True)
    assert named("elsewhere.json", "train_file=mine.json") is None


def test_one_file_under_two_entries_with_different_columns_is_refused_if_the_config_names_neither(here: Path) -> None:
    own = {"prompt": "p", "response": "r"}
    write({"x": {"file_name": "t.json", "columns": QUESTION}, "y": {"file_name": "t.json", "columns": own}})
    with pytest.raises(DataError, match=r"data/t.json is named with different `columns`: entry `x` of .* and entry `y`"):
        named("data/t.json", "train_file=data/t.json")
    assert named("data/t.json", "dataset=y") == own


def test_a_refused_entry_ends_training_and_audit_alike(here: Path) -> None:
    write({"x": {"file_name": "t.json", "file_name_eval": "e.json", "num_samples": 3}})
    for find in (find_dataset, find_columns):
        with pytest.raises(DataError, match="has `num_samples: 3`"):
            find(resolve_config(None, ["dataset=x"]))


def test_a_folder_as_file_name_is_named(here: Path) -> None:
    (here / "data" / "parts").mkdir()
    write({"x": {"file_name": "parts", "file_name_eval": "e.json"}})
    with pytest.raises(DataError, match="names data/parts, which is a folder"):
        find_dataset(resolve_config(None, ["dataset=x"]))
