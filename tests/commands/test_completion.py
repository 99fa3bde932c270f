"""Completion in a real bash, and that it loads no model library; paths that every command takes."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from movielora.commands.completion import complete_key, complete_override, complete_run
from movielora.commands.table import COMMANDS, load_command
from movielora.config.resolve import known_keys
from movielora.errors import ConfigError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_v1"
HEAVY = {"torch", "transformers", "polars", "numpy", "sklearn", "datasets", "peft"}


def answers(words: list[str], cwd: Path) -> list[str]:
    """What bash offers for the last of `words`, through the script that the program prints."""
    bin_folder = cwd / "bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "movielora"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m movielora "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    script = (
        'eval "$(_MOVIELORA_COMPLETE=source_bash movielora)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "_movielora_completion movielora; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", "movielora", *words],
        capture_output=True, text=True, check=True, cwd=cwd, env=environment, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("alpha one", "alphabet", "beta"):
        shutil.copytree(FIXTURE, tmp_path / "output" / name)
        for record in (tmp_path / "output" / name).glob("run.json"):
            record.unlink()  # a folder without a record is called by its name
    return tmp_path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_offers_commands_options_keys_and_runs(folder: Path) -> None:
    assert answers(["a"], folder) == ["audit", "analyze"]
    assert answers(["train", "--over"], folder) == ["--overwrite"]
    assert answers(["train", "--set", "lora_r"], folder) == ["lora_rank="]
    assert answers(["config", "--explain", "warmup"], folder) == ["warmup_ratio"]
    assert sorted(answers(["status", "alp"], folder)) == ["alpha one", "alphabet"]
    for command in ("logs", "stop", "resume", "board", "merge", "compare", "analyze", "report"):
        assert answers([command, "be"], folder) == ["beta"], command
    assert answers(["analyze", "--bucket", "b"], folder) == ["broken", "both_wrong", "both_right"]


def test_keys_and_values() -> None:
    assert [key for key, _ in complete_override("eval_st")] == ["eval_strategy=", "eval_steps="]
    assert [key for key, _ in complete_override("eval_strategy=")] == [
        f"eval_strategy={value}" for value in ("epoch", "no", "steps")
    ]
    assert [key for key, _ in complete_override("use_qlora=t")] == ["use_qlora=true"]
    assert complete_override("learning_rate=") == []
    assert complete_override("xyzzy=") == []
    offered = dict(complete_key(""))
    assert set(offered) < set(known_keys())
    assert offered["learning_rate"] == "Peak learning rate of AdamW"
    assert "template" not in offered  # it has no effect


def test_runs_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert sorted(complete_run("alpha")) == [("alpha one", "output/alpha one"), ("alphabet", "output/alphabet")]
    assert complete_run("gamma") == []


@pytest.mark.parametrize("words", ["movielora status al", "movielora train --set l", "movielora "])
def test_completion_loads_nothing_heavy(folder: Path, words: str) -> None:
    count = len(words.split(" ")) - 1
    environment = os.environ | {
        "COMP_WORDS": words, "COMP_CWORD": str(count), "_MOVIELORA_COMPLETE": "complete_bash",
    }  # fmt: skip
    command = [sys.executable, "-X", "importtime", "-m", "movielora"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False, timeout=60)
    assert done.stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


def _commands() -> list[tuple[str, Any]]:
    found = []
    for name in COMMANDS:
        command = load_command(name)
        found += [(name, command), *getattr(command, "commands", {}).items()]
    return found


def _path_parameters() -> list[tuple[Any, Any]]:
    return [
        (command, parameter)
        for _, command in _commands()
        for parameter in command.params
        if command.callback is not None
        and (
            "Path" in str(get_type_hints(inspect.unwrap(command.callback)).get(parameter.name, ""))
            or parameter.name in ("run", "runs")
        )
    ]


def test_every_path_of_every_command_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NOPE", raising=False)
    parameters = _path_parameters()
    assert len({command.name for command, _ in parameters}) >= 12
    for command, parameter in parameters:
        context = command.context_class(command)
        many = parameter.multiple or parameter.nargs != 1
        for written in ("$PLACE/x", "${PLACE}/x", "~/x"):
            value = parameter.process_value(context, [written] if many else written)
            assert list(map(str, value if many else [value])) == [f"{tmp_path}/x"], (command.name, parameter.name)
        with pytest.raises(ConfigError, match="the environment variable NOPE is not set"):
            parameter.process_value(context, ["$NOPE/x"] if many else "$NOPE/x")


@pytest.mark.parametrize("blank", ["", " ", "\t "])
def test_a_blank_path_of_every_command_is_refused(blank: str) -> None:
    options = [(command, each) for command, each in _path_parameters() if each.name not in ("run", "runs")]
    assert {each.name for _, each in options} >= {
        "config",
        "output_dir",
        "source",
        "test_file",
        "predictions",
        "adapter",
    }
    for command, parameter in options:
        with pytest.raises(ConfigError, match=f"^{parameter.opts[0]} is empty, and a path is wanted$"):
            parameter.process_value(command.context_class(command), blank)


@pytest.mark.parametrize(
    "words",
    [
        ["prepare", "--source", "", "--output-dir", "d"],
        ["prepare", "--source", ".", "--output-dir", ""],
        ["prepare", "--source=", "--output-dir=d"],
        ["prepare", "--source", ".", "--output-dir", "$OUT"],
    ],
    ids=str,
)
def test_a_blank_path_through_the_program_writes_nothing(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,1\n1,2,3,2\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A (1999),Drama\n2,B (1999),Drama\n")
    command = [sys.executable, "-m", "movielora", *words]
    environment = os.environ | {"OUT": " "}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movies.csv", "ratings.csv"]


@pytest.mark.parametrize("words", [["config", "-c", "$PLACE/c.yaml"], ["config", "-c", "~/c.yaml"]], ids=str)
def test_a_path_option_through_the_program(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("seed: 7\n")
    environment = os.environ | {"PLACE": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "movielora", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("seed ")] == [["seed", "7", "file"]]


def test_an_unset_variable_in_a_path_option_is_named(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NOPE"}
    command = [sys.executable, "-m", "movielora", "config", "-c", "${NOPE}/c.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --config ${NOPE}/c.yaml: the environment variable NOPE is not set\n"
        "next:  export it, or write $$ for a dollar sign\n"
    )


def test_a_start_up_file_that_cannot_be_read_is_a_sentence_and_stays_as_it_is(tmp_path: Path) -> None:
    start_up = tmp_path / ".bashrc"
    start_up.write_bytes(b"alias caf\xe9=ls\n")
    command = ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, "-m", "movielora", "--install-completion"]
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: completion cannot be installed: ")
    assert "movielora --show-completion" in done.stderr
    assert start_up.read_bytes() == b"alias caf\xe9=ls\n"
