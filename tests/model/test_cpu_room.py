"""What is done only for a CPU names the benchmark that shows what it gains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for path in (ROOT / "src" / "movielora" / "model" / "cpu").glob("*.py") if path.name != "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_each_file_names_a_benchmark_that_exists(file: Path) -> None:
    first = file.read_text(encoding="utf-8").split('"""')[1]
    named = re.findall(r"Benchmark:\s+`(bench/\w+\.py)`", first)
    assert named
    assert all((ROOT / name).is_file() for name in named)
