"""The import graph: no module imports itself by way of others, and no folder holds more than can be read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"
_MOST_FILES = 12


def _modules() -> dict[str, Path]:
    files = sorted((SOURCES / "movielora").rglob("*.py"))
    return {".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def _imports(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that `path` imports anywhere, inside functions too; not those for type checkers only."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found & known


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of modules, empty if there is none: what is left when modules without open imports are taken away."""
    left = {name: set(targets) for name, targets in graph.items()}
    while done := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in done:
            del left[name]
    if not left:
        return []
    path = [next(iter(left))]
    while (following := next(iter(left[path[-1]] & left.keys()))) not in path:
        path.append(following)
    return [*path[path.index(following) :], following]


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = _modules()
    graph = {name: _imports(path, set(modules)) - {name} for name, path in modules.items()}
    assert " → ".join(_circle(graph)) == ""


def test_a_circle_would_be_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) in (["b", "c", "b"], ["c", "b", "c"])


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in _modules().values()}), ids=lambda folder: folder.name
)
def test_no_folder_holds_more_than_a_dozen_files(folder: Path) -> None:
    files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= _MOST_FILES, files
