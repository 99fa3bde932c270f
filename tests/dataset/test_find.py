"""Which files a config means, and what is said where one is missing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from movielora.config import resolve_config
from movielora.dataset.find import (
    TrainingSplits,
    find_dataset,
    find_eval_file,
    find_test_file,
    find_train_file,
    prepared_split,
)
from movielora.errors import ConfigError, DataError, RequestError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def write_info(entries: Any, path: str = "data/dataset_info.json") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(entries))


def found(*overrides: str) -> tuple[str, str | None]:
    files = find_dataset(resolve_config(None, overrides))
    return str(files.train), str(files.evaluation) if files.evaluation else None


def refusal(*overrides: str) -> RequestError:
    with pytest.raises((DataError, ConfigError)) as caught:
        find_dataset(resolve_config(None, overrides))
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value


def test_an_entry_of_dataset_info_names_both_files_under_dataset_dir() -> None:
    make("data/a/t.json", "data/a/e.json")
    write_info({"x_train": {"file_name": "a/t.json", "file_name_eval": "a/e.json"}})
    assert found("dataset=x_train") == ("data/a/t.json", "data/a/e.json")


@pytest.mark.parametrize("dataset", ["x_train", "x"])
def test_x_train_means_the_entry_x(dataset: str) -> None:
    make("data/a/t.json", "data/a/e.json")
    write_info({"x": {"file_name": "a/t.json", "file_name_eval": "a/e.json"}})
    assert found(f"dataset={dataset}") == ("data/a/t.json", "data/a/e.json")
    assert found(f"dataset={dataset}", "eval_dataset=x_eval") == ("data/a/t.json", "data/a/e.json")


def test_the_entry_of_the_whole_name_wins_over_x() -> None:
    make("data/1.json", "data/1e.json", "data/2.json", "data/2e.json")
    write_info(
        {
            "x": {"file_name": "1.json", "file_name_eval": "1e.json"},
            "x_train": {"file_name": "2.json", "file_name_eval": "2e.json"},
        }
    )
    assert found("dataset=x_train") == ("data/2.json", "data/2e.json")


@pytest.mark.parametrize("dataset", ["x_train", "x"])
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_without_that_file_or_entry_the_name_is_a_folder(dataset: str, suffix: str) -> None:
    make(f"data/x/train.{suffix}", f"data/x/eval.{suffix}")
    wanted = (f"data/x/train.{suffix}", f"data/x/eval.{suffix}")
    assert found(f"dataset={dataset}") == wanted
    write_info({"other": {"file_name": "o.json"}})
    assert found(f"dataset={dataset}") == wanted


def test_what_prepare_writes_is_found() -> None:
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.progress import SILENT
    from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

    write_synthetic_movielens(Path("ratings"), SyntheticSize(users=6, films=60, mean_ratings=30))
    prepare(Path("ratings"), Path("data/mine"), PrepareOptions(), SILENT)
    assert found("dataset=mine_train") == ("data/mine/train.json", "data/mine/eval.json")
    assert found("dataset=mine_train", "eval_dataset=mine_eval")[1] == "data/mine/eval.json"
    assert find_test_file(resolve_config(None, ["dataset=mine_train"])) == Path("data/mine/test_raw.jsonl")


def test_train_file_and_eval_file_win_over_dataset() -> None:
    make("data/x/train.json", "data/x/eval.json", "my/t.jsonl", "my/e.jsonl")
    assert found("dataset=x", "train_file=my/t.jsonl", "eval_file=my/e.jsonl") == ("my/t.jsonl", "my/e.jsonl")
    assert found("dataset=x", "eval_file=my/e.jsonl") == ("data/x/train.json", "my/e.jsonl")
    assert found("dataset=none", "eval_dataset=none", "train_file=my/t.jsonl", "eval_file=my/e.jsonl") == (
        "my/t.jsonl",
        "my/e.jsonl",
    )


def test_a_training_file_alone_takes_the_eval_file_beside_it_and_no_other_datasets() -> None:
    make("data/movielens_qwen3/train.json", "data/movielens_qwen3/eval.json", "my/t.json")
    assert "my/t.json` has no eval.json beside it" in refusal("train_file=my/t.json").message
    make("my/eval.jsonl")
    assert found("train_file=my/t.json") == ("my/t.json", "my/eval.jsonl")
    make("my/eval.json")
    assert found("train_file=my/t.json") == ("my/t.json", "my/eval.json")


def test_without_evaluation_no_file_is_needed() -> None:
    make("data/x/train.json", "my/e.json")
    assert found("dataset=x", "eval_strategy=no") == ("data/x/train.json", None)
    assert found("dataset=x", "eval_strategy=no", "eval_file=my/e.json") == ("data/x/train.json", "my/e.json")


@pytest.mark.parametrize("name", ["qwen3_movielens_qlora.yaml", "qwen3_movielens_lora_bf16.yaml", "tiny_cpu.yaml"])
@pytest.mark.parametrize("way", ["train_file=my/t.json", "dataset=x"])
def test_the_way_without_evaluation_that_is_named_can_be_gone(name: str, way: str) -> None:
    """Both Qwen configs ask for the best model and for early stopping, which need evaluations."""
    make("my/t.json", "data/t.json")
    write_info({"x": {"file_name": "t.json"}})
    config = CONFIGS / name
    with pytest.raises(RequestError) as refused:
        find_dataset(resolve_config(config, [way]))
    words = shlex.split(refused.value.next_step.partition("train without: ")[2])
    assert words[::2] == ["--set"] * 3
    assert find_dataset(resolve_config(config, [way, *words[1::2]])).evaluation is None


def test_eval_dataset_is_another_entry() -> None:
    make("data/x/train.json", "data/x/eval.json", "data/other.json")
    write_info({"other": {"file_name": "other.json"}})
    assert found("dataset=x", "eval_dataset=other") == ("data/x/train.json", "data/other.json")


def test_a_path_is_looked_for_above_the_config_too(tmp_path: Path) -> None:
    config = tmp_path / "project/configs/c.yaml"
    make(str(config), *(str(tmp_path / f"project/data/x/{name}") for name in ("train.json", "eval.json")))
    config.write_text("dataset: x_train\n")
    assert find_dataset(resolve_config(config)) == TrainingSplits(
        tmp_path / "project/data/x/train.json", tmp_path / "project/data/x/eval.json"
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"x": {"file_name_eval": "e.json"}}, "data/dataset_info.json: entry `x` has no `file_name`"),
        ({"x": {"file_name": 3}}, "data/dataset_info.json: entry `x` has no `file_name`"),
        ({"x": {"file_name": "gone.json"}}, "entry `x` names data/gone.json, which does not exist"),
        ({"x": {"file_name": "t.json"}}, "data/dataset_info.json: entry `x` names no `file_name_eval`"),
        ({"x": "t.json"}, "data/dataset_info.json: entry `x` must be an object with `file_name`"),
        (["x"], "data/dataset_info.json holds a JSON list, not an object of datasets."),
        ({"y": {}}, "dataset `x` is not there: data/dataset_info.json has no entry `x`, and no data/x/train.json"),
    ],
)
def test_a_wrong_entry_is_named(entries: Any, said: str) -> None:
    make("data/t.json")
    write_info(entries)
    assert said in refusal("dataset=x").message


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"{\nbroken", "data/dataset_info.json, line 2: this is not JSON ("),
        (b"\xff", "data/dataset_info.json is not UTF-8 text."),
        (b"[" * 100_000, "data/dataset_info.json is not JSON that can be read ("),
        (b"1" * 5_000, "data/dataset_info.json is not JSON that can be read ("),
    ],
)
def test_a_dataset_info_that_is_no_json_is_named(content: bytes, wanted: str) -> None:
    make("data/dataset_info.json")
    Path("data/dataset_info.json").write_bytes(content)
    assert refusal("dataset=x").message.startswith(wanted)


def test_a_byte_order_mark_in_dataset_info_is_read_by_training_and_by_prepare() -> None:
    from movielora.dataset.info.registry import read_dataset_info

    make("data/t.json", "data/e.json")
    entry = {"file_name": "t.json", "file_name_eval": "e.json"}
    Path("data/dataset_info.json").write_text(json.dumps({"x": entry}), encoding="utf-8-sig")
    assert found("dataset=x") == ("data/t.json", "data/e.json")
    assert read_dataset_info(Path("data/new")) == {"x": entry}


def test_a_meta_json_of_another_program_does_not_make_its_files_a_dataset_of_movielora() -> None:
    make("my/train.json")
    Path("my/meta.json").write_text('{"schema_version": 7, "files": {"train.json": {}}}')
    assert prepared_split(Path("my/train.json")) is None


def test_missing_files_are_named_with_the_command_that_makes_them() -> None:
    error = refusal()
    assert error.message == (
        "dataset `movielens_qwen3_train` is not there: there is no data/dataset_info.json, "
        "and no data/movielens_qwen3/train.json"
    )
    assert error.next_step.startswith("make it with: movielora prepare --source ")
    assert refusal("train_file=gone.json").message == "`train_file`: gone.json does not exist"
    make("t.json")
    assert refusal("train_file=t.json", "eval_file=gone.json").message == "`eval_file`: gone.json does not exist"
    assert "does not exist" in refusal(f"train_file={'x' * 300}").message


@pytest.mark.parametrize(
    ("dataset", "next_step"),
    [
        ("gone", "there are: x, y_1, two_train; --set dataset=NAME"),
        ("tow_train", "did you mean --set dataset=two_train?"),
        ("x,y_1", "one dataset is read, not a list"),
    ],
)
def test_the_datasets_that_there_are_are_named(dataset: str, next_step: str) -> None:
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

    write_synthetic_movielens(Path("ratings"), SyntheticSize(users=6, films=40, least_ratings=20, mean_ratings=25))
    prepare(Path("ratings"), Path("data/two"), PrepareOptions(history_len=3, export="none"))
    write_info({"x": {"file_name": "x.json"}, "y_1": {"file_name": "y.json"}})
    assert refusal(f"dataset={dataset}").next_step.startswith(next_step)


def test_the_test_file_is_named_or_lies_beside_the_training_file() -> None:
    make("data/x/train.json", "data/x/eval.json", "other.jsonl")
    with pytest.raises(DataError, match=r"there is no test file data/x/test_raw\.jsonl"):
        find_test_file(resolve_config(None, ["dataset=x"]))
    make("data/x/test_raw.jsonl")
    assert find_test_file(resolve_config(None, ["dataset=x"])) == Path("data/x/test_raw.jsonl")
    named = resolve_config(None, ["dataset=x", "inference.test_file=other.jsonl"])
    assert find_test_file(named) == Path("other.jsonl")
    with pytest.raises(DataError, match=r"`inference\.test_file`: gone does not exist"):
        find_test_file(resolve_config(None, ["dataset=x", "inference.test_file=gone"]))


def test_one_file_does_not_need_the_others() -> None:
    make("data/x/train.json", "data/x/test_raw.jsonl")
    resolved = resolve_config(None, ["dataset=x"])
    assert find_train_file(resolved) == Path("data/x/train.json")
    assert find_test_file(resolved) == Path("data/x/test_raw.jsonl")
    make("my/e.json")
    assert find_eval_file(resolve_config(None, ["dataset=none", "eval_file=my/e.json"])) == Path("my/e.json")
