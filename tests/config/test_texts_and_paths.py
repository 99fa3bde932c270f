"""Text is taken as it is written, in `--set` and in a file; `~` and variables in a path mean the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movielora.config import Config, resolve_config
from movielora.config.keys import InferenceConfig
from movielora.config.paths import INPUT_PATHS, OUTPUT_PATHS, expand_argument, expand_path, literal_path
from movielora.config.texts import text_kinds
from movielora.errors import ConfigError

REQUIRED_TEXT = ("model_name_or_path", "dataset_dir", "dataset", "output_dir", "metric_for_best_model")
OPTIONAL_TEXT = ("template", "eval_dataset", "train_file", "eval_file", "system_prompt", "instruction")


def values_of_file(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return resolve_config(path).values


def test_the_text_keys_are_these() -> None:
    keys = [*Config.model_fields, *(f"inference.{key}" for key in InferenceConfig.model_fields)]
    optional = {*OPTIONAL_TEXT, "inference.test_file", "inference.infer_output_dir", "inference.adapter_dir"}
    assert {key for key in keys if text_kinds(key) == {str, type(None)}} == optional
    assert {key for key in keys if text_kinds(key) == {str}} == {*REQUIRED_TEXT, "preprocessing_cache_dir"}
    assert {key for key in keys if list in text_kinds(key)} == {"lora_target"}
    assert {key for key in keys if text_kinds(key)} >= INPUT_PATHS | OUTPUT_PATHS


@pytest.mark.parametrize(
    "text",
    [
        "runs/a #1",
        "20261125",
        "a: b",
        "1e5",
        "no",
        "2024-12-31",
        "{a: b}",
        "[x]",
        "'x'",
        '"x',
        " x ",
        "a=b",
        "& *x",
        "!x",
    ],
)
def test_set_takes_the_text_of_a_text_key_as_it_stands(text: str) -> None:
    values = resolve_config(None, [f"output_dir={text}", f"system_prompt={text}", f"inference.test_file={text}"]).values
    assert (values.output_dir, values.system_prompt, values.inference.test_file) == (text, text, text)


@given(st.text(st.characters(exclude_characters="$~", exclude_categories=["Cs"])).filter(str.strip))
def test_any_text_comes_through_set(text: str) -> None:
    assert resolve_config(None, [f"dataset={text}", f"output_dir={text}"]).values.output_dir == text


@settings(max_examples=200)
@given(st.text(st.characters(exclude_characters="$~", exclude_categories=["Cs"])).filter(str.strip))
def test_any_text_is_recorded_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    recorded = tmp_path_factory.getbasetemp() / "recorded.yaml"
    values = resolve_config(None, [f"dataset={text}", f"instruction=.{text}", f"output_dir={text}"])
    recorded.write_text(values.to_yaml(), encoding="utf-8")
    assert resolve_config(recorded).values == values.values


@pytest.mark.parametrize("word", ["null", "none", "None", "NULL"])
def test_null_is_nothing_where_a_key_may_be_empty_and_a_word_elsewhere(word: str) -> None:
    values = resolve_config(None, [f"system_prompt={word}", f"eval_dataset={word}", f"dataset={word}"]).values
    assert (values.system_prompt, values.eval_dataset, values.dataset) == (None, None, word)
    values = resolve_config(None, [f'system_prompt="{word}"', f"eval_dataset='{word}'"]).values
    assert (values.system_prompt, values.eval_dataset) == (word, word)


@pytest.mark.parametrize("blank", ["", " ", "\t "])
@pytest.mark.parametrize("key", sorted({"dataset", "eval_dataset"} | INPUT_PATHS | OUTPUT_PATHS))
def test_a_blank_text_is_no_name_and_no_path(tmp_path: Path, key: str, blank: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config(None, [f"{key}={blank}"])
    (problem,) = caught.value.problems
    assert "is not valid: text that is not empty" in problem
    group, _, name = key.rpartition(".")
    written = tmp_path / "c.yaml"
    written.write_text(f'inference: {{{name}: "{blank}"}}\n' if group else f'{key}: "{blank}"\n')
    with pytest.raises(ConfigError, match="has a problem"):
        resolve_config(written)


def test_an_empty_system_text_may_be_asked_for() -> None:
    assert resolve_config(None, ["system_prompt="]).values.system_prompt == ""


def test_what_is_not_text_stays_yaml() -> None:
    values = resolve_config(None, ["lora_rank=8 # eight", "lora_target=[q_proj, v_proj]", "use_qlora=no"]).values
    assert (values.lora_rank, values.lora_target, values.use_qlora) == (8, ["q_proj", "v_proj"], False)


@pytest.mark.parametrize(
    "scalar", ["20261125", "1e5", "1_000", "0x1F", "1.50", "no", "True", "2026-11-25", "1:30", ".5"]
)
def test_a_text_key_of_a_file_gets_the_scalar_as_it_is_written(tmp_path: Path, scalar: str) -> None:
    values = values_of_file(
        tmp_path, f"output_dir: {scalar} # a comment\nsystem_prompt: {scalar}\ninference:\n  test_file: {scalar}\n"
    )
    assert (values.output_dir, values.system_prompt, values.inference.test_file) == (scalar, scalar, scalar)


def test_a_text_inside_a_block_given_to_set_is_taken_as_it_is_written() -> None:
    inference = resolve_config(
        None, ["inference={test_file: 1e5, batch_size: 0x8, adapter_dir: 20261125}"]
    ).values.inference
    assert (inference.test_file, inference.batch_size, inference.adapter_dir) == ("1e5", 8, "20261125")


def test_null_of_a_file_stays_null(tmp_path: Path) -> None:
    assert values_of_file(tmp_path, "system_prompt: null\ntrain_file: ~\n").train_file is None
    with pytest.raises(ConfigError):
        values_of_file(tmp_path, "output_dir: null\n")


def test_a_number_stays_a_number_where_one_is_wanted(tmp_path: Path) -> None:
    values = values_of_file(tmp_path, "lora_rank: 0x10\nlearning_rate: 1e-4\nbf16: no\n")
    assert (values.lora_rank, values.learning_rate, values.bf16) == (16, 1e-4, False)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/$u")
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOPE", raising=False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "/home/$u"),
        ("~/x", "/home/$u/x"),
        ("$HOME/x", "/home/$u/x"),
        ("${HOME}x", "/home/$ux"),
        ("~/$SCRATCH", "/home/$u//scratch/me"),
        ("a/$SCRATCH/b-${SCRATCH}", "a//scratch/me/b-/scratch/me"),
        ("$$HOME", "$HOME"),
        ("$$$SCRATCH", "$/scratch/me"),
        ("a~", "a~"),
        ("a/~/b", "a/~/b"),
        ("5$", "5$"),
        ("$ x", "$ x"),
    ],
)
@pytest.mark.usefixtures("places")
def test_a_path_is_written_out(written: str, meant: str) -> None:
    assert expand_path(written) == meant


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("$NOPE/x", "NOPE is"),
        ("a${NOPE}", "NOPE is"),
        ("$EMPTY/x", "EMPTY is"),
        ("${}", "${} is"),
        ("~nobody_here/x", "~nobody_here"),
    ],
)
@pytest.mark.usefixtures("places")
def test_what_cannot_be_written_out_is_named(written: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("$", r"\$").replace("{", r"\{")):
        expand_path(written)


@given(st.text(st.sampled_from("$~a{}/")))
def test_a_path_that_is_recorded_reads_back(path: str) -> None:
    assert os.path.normpath(expand_path(literal_path(path))) == os.path.normpath(path)


@pytest.mark.parametrize("key", sorted(INPUT_PATHS | OUTPUT_PATHS))
@pytest.mark.usefixtures("places")
def test_every_path_of_a_config_is_written_out_and_recorded_so(tmp_path: Path, key: str) -> None:
    group, _, name = key.rpartition(".")

    def value(resolved: Any) -> Any:
        return getattr(resolved.values.inference if group else resolved.values, name)

    by_set = resolve_config(None, [f"{key}=$SCRATCH/x"])
    assert value(by_set) == "/scratch/me/x"
    path = tmp_path / "c.yaml"
    path.write_text(f"inference: {{{name}: ~/x}}\n" if group else f"{key}: ~/x\n", encoding="utf-8")
    resolved = resolve_config(path)
    assert value(resolved) == "/home/$u/x"
    path.write_text(resolved.to_yaml(), encoding="utf-8")
    assert value(resolve_config(path)) == "/home/$u/x"
    with pytest.raises(ConfigError) as caught:
        resolve_config(None, [f"{key}=$NOPE/x"])
    assert caught.value.problems == (
        f"--set {key}: `{key}: $NOPE/x`: the environment variable NOPE is not set; "
        "export it, or write $$ for a dollar sign",
    )


@pytest.mark.usefixtures("places")
def test_an_argument_that_exists_is_meant_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expand_argument("$SCRATCH") == "/scratch/me"
    Path("$SCRATCH").mkdir()
    assert expand_argument("$SCRATCH") == "$SCRATCH"


def test_through_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "movielora", "config", "--set", "output_dir=$HERE/a #1"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HERE": "/h"}, check=False)
    assert '"/h/a #1"' in done.stdout
