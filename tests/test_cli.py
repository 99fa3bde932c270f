"""The program as a whole: what starts at once, that help tells the truth, and how it ends."""

from __future__ import annotations

import errno
import inspect
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from movielora import __version__, cli
from movielora.errors import (
    ConfigError,
    DataError,
    ModelError,
    MovieloraError,
    NoLiveRunError,
    OutputError,
    StoppedError,
    WorkError,
)

HEAVY = {"torch", "transformers", "tokenizers", "datasets", "peft", "trl", "accelerate", "bitsandbytes"}
HEAVY |= {"polars", "sklearn", "scipy", "numpy", "tensorboard"}


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movielora", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def ended(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["status", "--help"], ["status"], ["audit", "--help"], ["config", "--help"]],
)
def test_starting_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "movielora", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == (3 if arguments == ["status"] else 0), done.stderr[-500:]
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "movielora.cli" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


@pytest.fixture(params=sorted(cli.COMMANDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _functions(app: typer.Typer) -> list[Any]:
    return [entry.callback for entry in app.registered_commands] + [
        entry.callback for entry in [app.registered_callback] if entry
    ]


def test_each_help_line_is_the_commands_own(name: str) -> None:
    firsts = [
        (inspect.getdoc(function) or "").split("\n")[0]
        for function in _functions(import_module(f"movielora.commands.{cli.COMMANDS[name][2]}").app)
    ]
    assert cli.COMMANDS[name][1] in firsts


def test_each_command_shows_an_example_that_is_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"Example: movielora {name}\b", out)
    assert cli.COMMANDS[name][1] in " ".join(re.sub(r"[│╭╮╰╯]", " ", out).split())


def test_every_command_file_is_named_in_the_table() -> None:
    folder = Path(cli.__file__).parent / "commands"
    modules = {".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.py")}
    files = {module for module in modules if not module.endswith("__init__")}
    listed = {module for _, _, module in cli.COMMANDS.values()}
    assert listed <= files
    source = "".join(file.read_text() for file in folder.rglob("*.py"))
    called = set(re.findall(r"movielora\.commands\.([\w.]+)", source)) | {"table", "usage"}
    assert files - listed <= called  # a sub-command's file belongs to a command, the rest to all of them


def test_help_lists_every_command_with_its_line_within_80_columns() -> None:
    done = run("--help", env=os.environ | {"COLUMNS": "80", "PYTHONUTF8": "1"})
    assert done.returncode == 0
    assert max(map(len, done.stdout.split("\n"))) <= 80
    page = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stdout).split())
    for name, (panel, line, _) in cli.COMMANDS.items():
        assert panel in page
        words = line.split()
        assert re.search(rf"\b{name} {re.escape(words[0])}", page), f"`{name}` has no line in --help"
    assert "movielora demo" in page


def test_without_arguments_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ended([])
    said = capsys.readouterr()
    assert "prepare" in said.out + said.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["--version"]) == 0
    assert capsys.readouterr().out == f"movielora {__version__}\n"


@pytest.mark.parametrize(
    ("mistyped", "meant"), [("trian", "train"), ("prepar", "prepare"), ("analyse", "analyze"), ("stats", "status")]
)
def test_an_unknown_command_suggests_the_nearest(mistyped: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([mistyped]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"'{mistyped}'" in said.err
    assert re.search(rf"Did you mean[^\n]*'{meant}'", said.err)


def test_an_unknown_option_is_a_request_that_cannot_be_carried_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["config", "--shcema"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--schema" in said.err


def _command_that(raises: BaseException) -> Any:
    app = typer.Typer()

    @app.command()
    def fails() -> None:
        raise raises

    return typer.main.get_command(app)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MovieloraError("it"), 1),
        (WorkError("it"), 1),
        (ConfigError("it"), 2),
        (DataError("it"), 2),
        (ModelError("it"), 2),
        (OutputError("it"), 2),
        (NoLiveRunError("it"), 3),
        (StoppedError("it"), 75),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_way_to_fail_has_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load_command", lambda name: _command_that(error))
    assert ended(["status"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err


def test_an_error_is_one_sentence_and_the_next_step_on_stderr_free_of_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("[red]c.yaml[/] has a problem", "try [bold]this", ("line 1: [x]", "line 2: y"))
    monkeypatch.setattr(cli, "load_command", lambda name: _command_that(error))
    assert ended(["status"]) == 2
    assert capsys.readouterr().err == (
        "error: [red]c.yaml[/] has a problem\n  line 1: [x]\n  line 2: y\nnext:  try [bold]this\n"
    )


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load_command", lambda name: _command_that(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["status"])


@pytest.mark.parametrize(
    "arguments",
    [["config", "--schema"], ["config", "--json"], ["config"], ["--help"], ["config", "--help"], ["--version"]],
    ids=" ".join,
)
def test_a_reader_that_goes_away_is_no_failure(arguments: list[str]) -> None:
    """`movielora config --schema | true`: nobody reads any more when something is written."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "movielora", *arguments],
            stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_that_nobody_reads_keeps_its_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [sys.executable, "-m", "movielora", "config", "--set", "nonsense=1"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=pipe, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")


def test_another_programs_broken_pipe_is_a_failure_and_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load_command", lambda name: _command_that(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert ended(["status"]) == 1
    assert capfd.readouterr().err == "error: a program that movielora wrote to has ended\n"


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    os.mkfifo(config)  # reading it waits for a writer
    process = subprocess.Popen(
        [sys.executable, "-m", "movielora", "config", "--config", str(config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = config.open("w")  # returns once the program has opened it
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    writer.close()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
