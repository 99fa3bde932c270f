"""On a CUDA GPU: precisions and kernels agree, and the memory estimate holds. Skipped where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `bench/gpu_check.py` finds with four layers of Qwen3-0.6B's shape."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    found = tmp_path_factory.mktemp("gpu") / "gpu_check.json"
    command = [sys.executable, "bench/gpu_check.py", "--layers", "4", "--steps", "10", "--json", str(found)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=280)
    return dict(json.loads(found.read_text(encoding="utf-8")))


def test_every_precision_and_kernel_trains_alike(checked: dict[str, Any]) -> None:
    assert len(checked["cases"]) >= 2
    assert not checked["problems"], checked["problems"]


def test_the_memory_estimate_is_within_15_percent(checked: dict[str, Any]) -> None:
    # The estimate is of the model's own kernels: what Liger saves is not in it.
    for case in (case for case in checked["cases"] if "Liger" not in case["name"]):
        assert abs(case["error"]) < 0.15, case["name"]
