"""README, docs/, ARCHITECTURE and CHANGELOG compared with the program: what they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from movielora.cli import COMMANDS
from movielora.commands.table import load_command
from movielora.config.keys import Config, InferenceConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What a user reads: README and docs/, by their paths from the root.
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
DOCUMENTS = PAGES | {
    name: (ROOT / name).read_text(encoding="utf-8") for name in ("ARCHITECTURE.md", "CHANGELOG.md", "bench/README.md")
}
EVERY_PAGE = "\n".join(PAGES.values())
_TERMINAL_WIDTH = 80
_NEVER_WRAPPED = ("$ ", "error: ", "  my.yaml", "next:", "pip install ", "warning: ")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def _command_lines(text: str) -> list[str]:
    """The movielora commands in code blocks (a continued line joined) and in inline code."""
    blocks = [content.replace("\\\n", " ") for _, content in _BLOCK.findall(text)]
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"`(movielora [^`]+)`", _BLOCK.sub("", text))]
    return [line for line in lines if line.startswith("movielora ")]


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _anchors(text: str) -> set[str]:
    """The link targets of a document's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("line", sorted(set(_command_lines(EVERY_PAGE))))
def test_every_command_in_the_pages_exists_with_its_options(line: str) -> None:
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


@pytest.mark.parametrize("name", sorted(set(re.findall(r"configs/[a-z0-9_]+\.yaml", EVERY_PAGE))))
def test_every_config_in_the_pages_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_in_the_pages_is_there(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(
        re.findall(r"\bmake ([a-z-]+)", " ".join(re.findall(r"`make [^`]+`|^make .*$", PAGES[page], re.M)))
    ):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("page", PAGES)
def test_no_placeholder_is_left(page: str) -> None:
    assert "<!--" not in PAGES[page]
    assert "@@" not in PAGES[page]


def test_the_readme_is_short_and_links_every_page() -> None:
    assert len(README.splitlines()) <= 210
    assert {name for name in PAGES if name != "README.md"} <= set(re.findall(r"\]\(([^)#]+)", README))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[document]):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_the_pages_name_are_there(page: str) -> None:
    for name in set(re.findall(r"\b((?:bench|docs|tests|src)/[\w/.-]+\.(?:py|md|png))", PAGES[page])):
        assert (ROOT / name).is_file(), name
    for module in set(re.findall(r"`(movielora(?:\.\w+)+)`", PAGES[page])):
        assert (ROOT / "src" / module.replace(".", "/")).with_suffix(".py").is_file(), module


@pytest.mark.parametrize("page", PAGES)
def test_config_keys_that_the_pages_name_exist(page: str) -> None:
    """A key in inline code beside its value (`bf16: true`), or given to --set."""
    named = set(re.findall(r"`([a-z][a-z0-9_]*_[a-z0-9_]*): [^`{]+`", PAGES[page]))
    named |= set(re.findall(r"--set ([a-z0-9_.]+)=", PAGES[page])) - {"key"}
    known = set(Config.model_fields) | {f"inference.{key}" for key in InferenceConfig.model_fields}
    assert named <= known, sorted(named - known)


@pytest.mark.parametrize("page", PAGES)
def test_terminal_output_fits_a_terminal(page: str) -> None:
    """A block without a language is output; commands and what movielora never wraps (errors, commands) may be wider."""
    for language, content in _BLOCK.findall(PAGES[page]):
        lines = [] if language else [line for line in content.splitlines() if not line.startswith(_NEVER_WRAPPED)]
        assert [line for line in lines if len(line) > _TERMINAL_WIDTH] == []


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
