"""A command line that cannot be read: one sentence, what to write instead, and with `--json` an object."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from movielora.commands.table import COMMANDS
from movielora.console.output import stderr

PROJECT = Path(__file__).resolve().parents[2]


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movielora", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd)


def next_of(*words: str) -> tuple[str, str]:
    """The sentence and the next step of a command line that is refused."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    error, after = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert after.startswith("next:  ")
    return error.removeprefix("error: "), after.removeprefix("next:  ")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("train base.yaml", "train --config base.yaml"),
        ("train base.yaml --overwrite", "train --config base.yaml --overwrite"),
        ("train 'my base.yml' --detach", "train --config 'my base.yml' --detach"),
        ("audit base.yaml", "audit --config base.yaml"),
        ("fit base.yaml", "fit --config base.yaml"),
        ("doctor base.yaml", "doctor --config base.yaml"),
        ("config base.yaml", "config --config base.yaml"),
        ("compare base.yaml", "compare --config base.yaml"),
        ("train -c a.yaml --learning_rate 1e-4", "train -c a.yaml --set learning_rate=1e-4"),
        ("train -c a.yaml --learning-rate=1e-4 --detach", "train -c a.yaml --set learning_rate=1e-4 --detach"),
        ("train --lr 1e-4 -c a.yaml", "train --set learning_rate=1e-4 -c a.yaml"),
        ("train -lr 1e-4 -c a.yaml", "train --set learning_rate=1e-4 -c a.yaml"),
        ("train -c a.yaml --output_dir 'my runs/a'", "train -c a.yaml --set 'output_dir=my runs/a'"),
        ("train -c a.yaml --gradient_checkpointing", "train -c a.yaml --set gradient_checkpointing=true"),
        ("train -c a.yaml --seed", "train -c a.yaml --set seed=VALUE"),
        ("train base.yaml --lr 1e-4", "train --config base.yaml --set learning_rate=1e-4"),
        (
            "train base.yaml --lr 1e-4 --epochs=3 --detach",
            "train --config base.yaml --set learning_rate=1e-4 --set num_train_epochs=3 --detach",
        ),
        ("train --config base.yaml learning_rate=1e-4", "train --config base.yaml --set learning_rate=1e-4"),
        (
            "train base.yaml lr=1e-4 weight_decay=0.1",
            "train --config base.yaml --set learning_rate=1e-4 --set weight_decay=0.1",
        ),
        ("train base.yaml -- lr=3", "train --config base.yaml --set learning_rate=3"),
        ("train -c a.yaml no_such_key=1", "train -c a.yaml --set no_such_key=1"),
        ("train --bf16 -c a.yaml", "train --set bf16=true -c a.yaml"),
        ("train -c a.yaml --early-stopping-patience -1", "train -c a.yaml --set early_stopping_patience=-1"),
        ("train -c a.yaml --set lr 1e-4 --max_steps 5", "train -c a.yaml --set lr=1e-4 --set max_steps=5"),
        ("compare base.yaml max_samples=5", "compare --config base.yaml --set max_samples=5"),
        ("compare r lr=3", "compare r --set learning_rate=3"),
        ("audit base.yaml --char_only", "audit --config base.yaml --char-only"),
        ("resume --config base.yaml", "train --resume --config base.yaml"),
        ("audit -c a.yaml --dataset x_train", "audit -c a.yaml --set dataset=x_train"),
        ("prepare --source s --output_dir 'a b'", "prepare --source s --output-dir 'a b'"),
        ("compare r --max_samples=5", "compare r --max-samples=5"),
        ("--force stop", "stop --force"),
        ("train -c a.yaml --set learning_rate 1e-4", "train -c a.yaml --set learning_rate=1e-4"),
        ("version", "--version"),
    ],
)
def test_what_to_write_is_the_whole_command(words: str, meant: str) -> None:
    _, after = next_of(*shlex.split(words))
    assert after == f"movielora {meant}"


def test_a_missing_config_is_an_example(tmp_path: Path) -> None:
    for words, example in (("train --lr 1e-4", "train --set learning_rate=1e-4"), ("fit", "fit"), ("audit", "audit")):
        said = run(*words.split(), cwd=tmp_path).stderr
        assert said.endswith(f"next:  for example: movielora {example} --config {PROJECT}/configs/tiny_cpu.yaml\n")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tiny_cpu.yaml").touch()
    assert run("train", cwd=tmp_path).stderr.endswith("for example: movielora train --config configs/tiny_cpu.yaml\n")


def test_a_run_is_continued_with_another_value_by_train(tmp_path: Path) -> None:
    folder = tmp_path / "output" / "a b"
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "run_v1", folder)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"cwd": str(tmp_path)}))
    refused = "error: movielora resume has no option --{}: it continues a run with the config that the run recorded\n"
    config = "movielora train --config 'output/a b/config.yaml' --resume"
    for words, name, after in (
        (("a b", "--set", "lora_rank=4", "--detach"), "set", f"{config} --set lora_rank=4 --detach"),
        (("--lr", "1e-4"), "lr", f"{config} --set learning_rate=1e-4"),
        (("no-such-run", "--set", "a=1"), "set", "change a key with: movielora train --config RUN_FOLDER/config.yaml"),
        (("a b", "--config", "c.yaml"), "config", "change a key with: movielora train"),
    ):
        done = run("resume", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(refused.format(name) + f"next:  {after}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = run("resume", str(folder), "--set", "a=1", cwd=elsewhere).stderr
    assert f"next:  in {tmp_path}: movielora train --config '{folder}/config.yaml' --resume --set a=1\n" in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("eval", "compare"), ("evaluate", "compare"), ("test", "compare"), ("infer", "compare"), ("predict", "compare"),
        ("chat", "compare"), ("export", "merge"), ("tensorboard", "board"), ("ls", "runs"), ("ps", "status"),
        ("kill", "stop"), ("tail", "logs"), ("continue", "resume"), ("finetune", "train"), ("download", "prepare"),
        ("vram", "fit"), ("EVAL", "compare"),
    ],
)  # fmt: skip
def test_a_command_of_another_name_is_suggested(typed: str, meant: str) -> None:
    error, after = next_of(typed, "whatever")
    assert error == f"there is no command '{typed}'. Did you mean '{meant}'?"
    assert after == f"movielora {meant} --help: {COMMANDS[meant][1]}"


def test_no_run_is_followed_by_a_command_that_works_here(tmp_path: Path) -> None:
    start = f"start one with: movielora train --config {PROJECT}/configs/tiny_cpu.yaml"
    assert run("runs", cwd=tmp_path).stdout == f"no runs under output/ yet; {start}\n"
    assert run("status", cwd=tmp_path).stderr.endswith(f"next:  {start} --detach\n")


@pytest.mark.parametrize("word", ["xyzzy", "help"])
def test_a_command_that_nothing_resembles(word: str) -> None:
    assert next_of(word) == (f"there is no command '{word}'", "movielora --help lists the commands")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("train", "the option --config is missing: the YAML file of the training"),
        ("train -c", "Option '-c' requires an argument"),
        ("merge", "Missing argument 'run'"),
        ("stop --timeout soon", "Invalid value for '--timeout'"),
        ("status a b", "Got unexpected extra argument"),
        ("train -c a.yaml b.yaml", "Got unexpected extra argument"),
        ("doctor whel", "No such command 'whel'"),
        ("resume --lr 3", "movielora resume has no option --lr: it continues a run with the config"),
        ("status --set a=1", "movielora status has no option --set"),
        ("config --shcema", "movielora config has no option --shcema. Did you mean --schema?"),
    ],
)
def test_other_mistakes_are_one_sentence(words: str, error: str) -> None:
    said, after = next_of(*words.split())
    assert said.startswith(error)
    assert "movielora" in after


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("status nothing --json", 3, "there is no run"),
        ("status --json --nonsense", 2, "movielora status has no option --nonsense"),
        ("evaluate --json", 2, "there is no command 'evaluate'"),
        ("--json", 2, "movielora has no option --json"),
        ("train --json", 2, "the option --config is missing"),
        ("train -c none.yaml --json", 2, "config file none.yaml does not exist"),
        ("compare nothing --json", 3, "nothing"),
        ("report nothing --json", 3, "nothing"),
        ("analyze nothing --json", 3, "nothing"),
        ("merge nothing --output-dir x --json", 3, "nothing"),
        ("prepare --output-dir x --json", 2, "--source"),
        ("audit -c none.yaml --json", 2, "none.yaml"),
        ("fit -c none.yaml --json", 2, "none.yaml"),
        ("doctor -c none.yaml --json", 2, "none.yaml"),
        ("config --set lr=1 --json", 2, "the config has a problem"),
        ("config --explain xyzzy --json", 2, "unknown key"),
        ("logs --json -f", 2, "--follow"),
        ("runs --json --nonsense", 2, "--nonsense"),
        ("board nothing --json", 3, "nothing"),
        ("stop nothing --json", 3, "nothing"),
        ("resume nothing --json", 3, "nothing"),
        ("demo --json extra", 2, "extra"),
    ],
)
def test_an_error_is_an_object_on_stdout_too(words: str, code: int, message: str, tmp_path: Path) -> None:
    done = run(*words.split(), cwd=tmp_path)
    (line,) = done.stdout.splitlines()
    error = json.loads(line)["error"]
    assert set(error) == {"message", "next", "problems", "exit_code"}
    assert message in error["message"]
    assert (done.returncode, error["exit_code"]) == (code, code)
    assert error["message"] in done.stderr
    assert (error["next"] or "") in done.stderr
    for problem in error["problems"]:
        assert problem in done.stderr


def on_terminal(*words: str, columns: int, cwd: Path) -> list[str]:
    """The lines that a terminal of `columns` shows, before it would break any itself."""
    reading, writing = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "movielora", *words]
    process = subprocess.Popen(command, stdout=writing, stderr=writing, stdin=writing, cwd=cwd, env=environment)
    os.close(writing)
    said = b""
    try:
        while block := os.read(reading, 65536):
            said += block
    except OSError:  # the other side has closed
        pass
    os.close(reading)
    process.wait(60)
    return said.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_errors_break_between_words_and_paths_and_commands_stay_whole(tmp_path: Path, columns: int) -> None:
    path = "deep/" * 20 + "a b.yaml"
    sentence = " ".join(f"word{index}" for index in range(40))
    config = tmp_path / "c.yaml"
    config.write_text(f"{sentence}: 1\n")
    lines = on_terminal("train", path, columns=columns, cwd=tmp_path)
    assert [line for line in lines if len(line) > columns] == [
        line for line in lines if "deep/" in line
    ]  # nothing else is wider
    assert f"movielora train --config '{path}'" in "\n".join(lines)

    lines = on_terminal("config", "-c", "c.yaml", columns=columns, cwd=tmp_path)
    words = re.findall(r"\S+", "\n".join(lines))
    assert [word for word in words if word.strip("`").startswith("word")] == [
        "`word0", *(f"word{index}" for index in range(1, 39)), "word39`"
    ]  # fmt: skip
    assert not [line for line in lines if len(line) > columns and "movielora" not in line]


def test_in_a_pipe_a_sentence_is_one_line(tmp_path: Path) -> None:
    error, _ = next_of("train", "-c", "deep/" * 40 + "c.yaml")
    assert error.endswith("c.yaml does not exist")
    assert not stderr().is_terminal
