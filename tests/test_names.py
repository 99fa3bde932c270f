"""One name for one thing: no public class, function or constant is defined in two modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

# By design: what each file of a list offers under the same name, and short names of array types.
SAME_BY_DESIGN = {"BASELINES", "SOURCE", "FORM", "read", "Floats", "Integers"}

SOURCES = Path(__file__).parents[1] / "src" / "movielora"


def _public_names(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if not name.startswith("_")}


def test_no_public_name_is_defined_twice() -> None:
    """A command is named like the recipe it calls, and each command has an `app`: those are not looked at."""
    places = defaultdict(list)
    for path in SOURCES.rglob("*.py"):
        if path.relative_to(SOURCES).parts[0] != "commands":
            for name in _public_names(path):
                places[name].append(str(path.relative_to(SOURCES)))
    twice = {name: found for name, found in places.items() if len(found) > 1 and name not in SAME_BY_DESIGN}
    assert twice == {}
