"""README, ARCHITECTURE and CHANGELOG against the program: what they name must be there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import COMMANDS
from movielora.commands.table import load_command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _command_lines(text: str) -> list[str]:
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("movielora ")]


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("line", sorted(set(_command_lines(README))))
def test_every_command_in_the_readme_exists_with_its_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, line
    command = load_command(words[0])
    known = _options(command)
    for sub in getattr(command, "commands", {}).values():
        known |= _options(sub)
    for word in words[1:]:
        if word.startswith("-"):
            assert word.partition("=")[0] in known | {"--help"}, f"{word} in: {line}"


def test_every_command_is_in_the_readme() -> None:
    missing = [name for name in COMMANDS if f"`{name}`" not in README and f"movielora {name}" not in README]
    assert not missing


@pytest.mark.parametrize("name", sorted(set(re.findall(r"configs/[a-z0-9_]+\.yaml", README))))
def test_every_config_in_the_readme_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_every_make_target_in_the_readme_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)", " ".join(re.findall(r"`make [^`]+`|^make .*$", README, re.M)))):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_no_placeholder_is_left_in_the_readme() -> None:
    assert "<!--" not in README


def test_every_file_that_the_architecture_names_is_there() -> None:
    for name in set(re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)", ARCHITECTURE)):
        inside = ROOT / "src" / "movielora" / name
        assert inside.is_file() or (ROOT / name).is_file(), name


def test_every_dependency_earns_its_line() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = ARCHITECTURE.partition("## Dependencies")[2]
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert name[0] in table, f"{name[0]} has no line in ARCHITECTURE.md"
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert f"\n{name[0].lower()}==" in pins, f"{name[0]} has no pin in constraints.txt"
