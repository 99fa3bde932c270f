"""No command ends in a UnicodeError: streams of other encodings, another locale, streams that are closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from movielora.commands.table import COMMANDS

TITLE = "Amélie 七 ★ (2001)"
SETTINGS: dict[str, dict[str, str]] = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def run(*words: str, cwd: Path, settings: dict[str, str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "movielora", *words]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    environment = os.environ | settings
    return subprocess.run(command, env=environment, check=False, timeout=120, cwd=cwd, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A folder with a config, and records whose titles are in no single-byte encoding."""
    folder = tmp_path_factory.mktemp("é七")
    rows = [{"instruction": "?", "input": f"1. {TITLE}\nCandidate film: {TITLE}", "output": "Yes"}] * 3
    (folder / "train.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "c.yaml").write_text(
        f"model_name_or_path: {tiny_base}\ntrain_file: train.json\nsystem_prompt: é七★\n", encoding="utf-8"
    )
    return folder


def words_of(name: str) -> list[str]:
    """A command line of `name` that says a lot with little work; most end in a sentence about what is missing."""
    config = ["--config", "c.yaml"]
    return {
        "audit": ["audit", *config, "--show-examples", "1"],
        "config": ["config", *config],
        "fit": ["fit", *config],
        "train": ["train", *config, "--dry-run"],
        "prepare": ["prepare", "--source", "é七.csv", "--output-dir", "é七"],
        "doctor": ["doctor", *config, "--only", "python", "--only", "platform", "--verbose"],
        "compare": ["compare", "é七→"],
        "demo": ["demo", "é七→"],
        "analyze": ["analyze", "é七→"],
        "report": ["report", "é七→"],
        "merge": ["merge", "é七→", "--output-dir", "m"],
    }.get(name, [name, "é七→"])


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_ends_in_a_unicode_error(folder: Path, name: str, settings: str) -> None:
    done = run(*words_of(name), cwd=folder, settings=SETTINGS[settings])
    assert b"Traceback" not in done.stderr, done.stderr.decode("ascii", "replace")
    assert done.returncode in (0, 1, 2, 3)
    assert done.stdout + done.stderr


def test_help_is_shown_in_what_the_stream_has(folder: Path) -> None:
    for name in ("", *COMMANDS):
        done = run(*filter(None, [name]), "--help", cwd=folder, settings=SETTINGS["ascii"])
        assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_stream_lacks_is_replaced_and_what_it_has_is_kept(folder: Path) -> None:
    shown = {}
    for name in ("latin-1", "ascii"):
        done = run("audit", "-c", "c.yaml", "--show-examples", "1", cwd=folder, settings=SETTINGS[name])
        shown[name] = done.stdout.decode(name)
    assert r"Candidate film: Amélie \u4e03 * (2001)" in shown["latin-1"]
    assert r"Candidate film: Am\xe9lie \u4e03 * (2001)" in shown["ascii"]


@pytest.mark.parametrize("settings", SETTINGS)
def test_json_says_the_same_in_escapes(folder: Path, settings: str) -> None:
    done = run("config", "-c", "c.yaml", "--json", cwd=folder, settings=SETTINGS[settings])
    assert json.loads(done.stdout)["config"]["system_prompt"] == "é七★"
    failed = run("config", "--set", "é七=1", "--json", cwd=folder, settings=SETTINGS[settings])
    (problem,) = json.loads(failed.stdout)["error"]["problems"]
    assert problem == "--set é七: unknown key `é七`"


def test_a_file_name_that_the_locale_lacks_is_a_sentence(folder: Path) -> None:
    words = ["train", "-c", "c.yaml", "--set", "output_dir=output/é", "--set", "eval_file=train.json"]
    done = run(*words, cwd=folder, settings=SETTINGS["LC_ALL=C"])
    assert done.returncode == 2
    said = done.stderr.decode("ascii")
    assert r"(ascii) have no form for a file name with \xe9" in said
    assert "next:  set PYTHONUTF8=1 and give the command again" in said


def test_a_word_that_is_no_utf8_is_a_problem_of_the_config(folder: Path) -> None:
    done = run("config", "--set", b"dataset=\xff", cwd=folder, settings={})  # type: ignore[arg-type]
    assert done.returncode == 2
    assert rb"the value is no UTF-8 text" in done.stderr


@pytest.mark.parametrize(
    "words", [["status"], ["config"], ["--help"], ["config", "--json"], ["config", "--set", "x=1"]]
)
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_a_closed_stream_is_no_failure(words: list[str], closed: str, tmp_path: Path) -> None:
    usual = run(*words, cwd=tmp_path, settings={}).returncode
    shell = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "movielora", *words],
        capture_output=True, cwd=tmp_path, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == usual
    assert b"Traceback" not in done.stderr


def test_what_is_read_from_a_pipe_may_hold_anything(tmp_path: Path) -> None:
    for settings in ({}, SETTINGS["ascii"], SETTINGS["LC_ALL=C"]):
        done = run("doctor", "--explain", "-", cwd=tmp_path, settings=settings, input=b"\xe9\xff caf\xc3\xa9")
        assert b"Traceback" not in done.stderr
        assert done.returncode == 0
