"""Every command that is printed with a path or a name in it is quoted: built by `errors.shell_command`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from movielora.commands.table import COMMANDS

SOURCES = Path(__file__).parents[1] / "src" / "movielora"
# Where a command begins, and an option whose value follows at once.
_COMMAND = re.compile(
    rf"\bmovielora (?:{'|'.join(COMMANDS)}) |\b(?:rm|mv|cp|ls|tail|cat|cd|hf download|pip install) (?=\S|$)"
)
_OPTION = re.compile(r"(?:^|\s)(?:-c|--config|--source|--adapter|--predictions|--[a-z-]+-(?:dir|file)) $")


def _unquoted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of every f-string in which a value that nothing quotes stands inside a command."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                if (_COMMAND.search(text) or _OPTION.search(text)) and not _is_quoted(part.value):
                    yield node.lineno, ast.unparse(node)
                    break
                text += "…"


def _is_quoted(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "shell_command"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"movielora resume {run}"', True),
        ('f"continue with: movielora logs -f {run}"', True),
        ('f"name it: --config {path}"', True),
        ('f"--percentiles {text} is no number"', False),  # what was typed, not what to type
        ('f"rm -r {path}"', True),
        ('f"{path} is no run"', False),
        ('f"{path}: movielora runs --all"', False),
        ("f\"continue with: {shell_command('movielora', 'resume', run)}\"", False),
    ],
)
def test_the_search_finds_commands(source: str, found: bool) -> None:
    assert bool(list(_unquoted(ast.parse(source)))) is found


def test_every_printed_command_is_quoted() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{line}: {text}"
        for path in sorted(SOURCES.rglob("*.py"))
        for line, text in _unquoted(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_one_function_quotes() -> None:
    quoting = [path for path in SOURCES.rglob("*.py") if re.search(r"\bshlex\b", path.read_text(encoding="utf-8"))]
    assert quoting == [SOURCES / "errors.py"]
