"""Every source of ratings is in the list."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import movielora
from movielora.sources.catalogue import SOURCES

ROOT = Path(movielora.__file__).parent


def test_every_module_with_a_source_is_listed() -> None:
    files = sorted(path for path in (ROOT / "sources").rglob("*.py") if path.stem not in ("__init__", "catalogue"))
    names = [".".join(("movielora", *path.relative_to(ROOT).with_suffix("").parts)) for path in files]
    sources = {name: found for name in names if (found := getattr(import_module(name), "SOURCE", None))}
    missing = [name for name, source in sources.items() if source not in SOURCES]
    assert not missing, f"put {', '.join(missing)}.SOURCE into SOURCES of sources/catalogue.py"
    assert len(SOURCES) == len(sources)
