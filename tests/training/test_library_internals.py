"""What we rely on inside TRL, transformers and PEFT is there in the installed versions, and listed."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from movielora.training.loop.library_internals import PRIVATE, UNDOCUMENTED, Internal
from movielora.training.loop.trainer import AnswerTrainer

SOURCES = Path(__file__).parents[2] / "src" / "movielora"
TRAINER = SOURCES / "training" / "loop" / "trainer.py"


def _named(internal: Internal) -> str:
    return f"{internal.owner}.{internal.name}"


def _owner(path: str) -> Any:
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


@pytest.mark.parametrize("internal", [*PRIVATE, *UNDOCUMENTED], ids=_named)
def test_the_name_is_there_with_the_parameters_we_know(internal: Internal) -> None:
    found = getattr(_owner(internal.owner), internal.name, None)
    assert found is not None, f"{_named(internal)} is gone: {internal.why}"
    if internal.parameters is not None:
        assert tuple(inspect.signature(found).parameters) == internal.parameters, _named(internal)


def test_a_name_that_is_gone_is_reported_by_its_name() -> None:
    gone = Internal("transformers:Trainer", "_no_such_name", None, "for this test")
    with pytest.raises(AssertionError, match=r"transformers:Trainer\._no_such_name is gone: for this test"):
        test_the_name_is_there_with_the_parameters_we_know(gone)


def _overridden() -> list[str]:
    base = AnswerTrainer.__mro__[1]
    return [name for name, value in vars(AnswerTrainer).items() if callable(value) and hasattr(base, name)]


@pytest.mark.parametrize("name", [name for name in _overridden() if name not in ("__init__", "create_model_card")])
def test_what_the_trainer_overrides_is_still_called_so(name: str) -> None:
    """The library may pass its parameters by position or by name: ours are the same, in the same order."""
    written = [vars(parent)[name] for parent in AnswerTrainer.__mro__[1:] if name in vars(parent)]
    named = [inspect.signature(found).parameters for found in written]
    theirs = next(parameters for parameters in named if "args" not in parameters)  # TRL passes some on as they come
    ours = inspect.signature(getattr(AnswerTrainer, name)).parameters
    assert list(ours) == list(theirs)


def test_every_private_name_of_the_library_s_trainer_is_listed() -> None:
    """Read from the sources: `self._name` in our trainer that the library's own classes use as well, and overrides."""
    library = "\n".join(
        inspect.getsource(inspect.getmodule(parent))
        for parent in AnswerTrainer.__mro__[1:]
        if parent.__module__.startswith(("trl.", "transformers."))
    )
    ours = {
        node.attr
        for node in ast.walk(ast.parse(TRAINER.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    shared = {name for name in ours if f"self.{name} " in library or f"self.{name}(" in library}
    shared |= {name for name in _overridden() if name.startswith("_") and not name.startswith("__")}
    assert shared == {each.name for each in PRIVATE if each.owner.endswith("Trainer")}


def test_no_other_file_reads_a_private_name_of_another_object() -> None:
    listed = {each.name for each in PRIVATE}
    found = set()
    for path in SOURCES.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
        own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        own |= {node.target.id for node in ast.walk(tree) if _is_annotated_name(node)}
        found |= {
            f"{path.relative_to(SOURCES)}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not _is_self(node.value)
            and node.attr not in own | listed | {"_Hash"}  # hashlib has no other name for the type of its objects
        }
    assert not found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_annotated_name(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
