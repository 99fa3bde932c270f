"""Every importer is in the list, and its own words help whoever has a record of none."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from movielora.examples import importers
from movielora.examples.importers.records import FORMS


def test_every_importer_with_a_form_is_listed() -> None:
    files = sorted(path.stem for path in Path(importers.__file__).parent.glob("*.py") if path.stem != "__init__")
    modules = [import_module(f"{importers.__name__}.{name}") for name in files]
    forms = {module.__name__: module.FORM for module in modules if hasattr(module, "FORM")}
    missing = [name for name, form in forms.items() if form not in FORMS]
    assert not missing, f"put {', '.join(missing)}.FORM into FORMS of examples/importers/records.py"
    assert len(FORMS) == len(forms)
    assert len({form.in_words for form in FORMS}) == len(FORMS)
