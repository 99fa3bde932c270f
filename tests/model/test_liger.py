"""Liger's kernels: when they are taken, what is said, and what is put on the model. The kernels need a GPU."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import transformers.integrations.liger
from pydantic import ValidationError

from movielora.config import Config
from movielora.errors import ModelError
from movielora.model import liger
from movielora.model.answer_layer import has_answer_layer
from movielora.model.base import Placement, choose_placement, load_base
from movielora.model.child import Outcome
from movielora.model.liger import LigerProbe, choose_liger, probe_liger, read_probe

WORKS = LigerProbe("0.8.5", True, "liger-kernel 0.8.5 agrees with Qwen3's own, forward and backward")
ABSENT = LigerProbe(None, False, "liger-kernel is not installed")


def _never() -> LigerProbe:
    raise AssertionError("nothing needs to be tried")


def test_auto_takes_what_works() -> None:
    assert choose_liger("auto", "cuda", compiled=False, probe=lambda: WORKS) == (True, WORKS.reason)
    taken, reason = choose_liger("auto", "cuda", compiled=False, probe=lambda: ABSENT)
    assert not taken
    assert reason == "Qwen3's own: liger-kernel is not installed"


def test_auto_tries_nothing_on_a_cpu_or_behind_the_compiler() -> None:
    assert not choose_liger("auto", "cpu", compiled=False, probe=_never)[0]
    assert not choose_liger("auto", "cuda", compiled=True, probe=_never)[0]
    assert not choose_liger(False, "cuda", compiled=False, probe=_never)[0]


def test_asked_for_by_name_and_unusable_is_an_error_with_its_cure() -> None:
    assert choose_liger(True, "cuda", compiled=False, probe=lambda: WORKS)[0]
    with pytest.raises(ModelError, match="liger-kernel is not installed") as caught:
        choose_liger(True, "cuda", compiled=False, probe=lambda: ABSENT)
    assert "enable_liger_kernel: auto" in caught.value.next_step
    with pytest.raises(ModelError, match="needs a CUDA GPU"):
        choose_liger(True, "cpu", compiled=False, probe=_never)


def test_compiler_and_liger_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="fuse the same operations"):
        Config(enable_liger_kernel=True, torch_compile=True)


def test_the_placement_says_what_was_chosen() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    placement = choose_placement(Config())
    assert not placement.liger
    assert "needs a CUDA GPU" in placement.liger_reason
    with pytest.raises(ModelError, match="enable_liger_kernel: true cannot work here"):
        choose_placement(Config(enable_liger_kernel=True))


def test_the_verdict_over_what_the_child_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liger, "installed_version", lambda: "0.8.5")
    assert read_probe(Outcome({"error": 0.01})).usable
    wrong = read_probe(Outcome({"error": 0.5}))
    assert (wrong.usable, wrong.reason) == (False, "liger-kernel 0.8.5 gives gradients that are off by 50%")
    assert not read_probe(Outcome({"error": float("nan")})).usable
    dead = read_probe(Outcome(None, "Traceback\nRuntimeError: Failed to find C compiler."))
    assert dead.reason == "liger-kernel 0.8.5 fails: RuntimeError: Failed to find C compiler."
    monkeypatch.setattr(liger, "installed_version", lambda: None)
    assert probe_liger() == ABSENT


@pytest.fixture
def fake_liger(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """A liger_kernel that notes each model it is put on, with the options, and changes nothing."""
    asked: list[tuple[Any, dict[str, Any]]] = []
    fake = types.ModuleType("liger_kernel.transformers")
    fake._apply_liger_kernel_to_instance = lambda model, **options: asked.append((model, options))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel", types.ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", fake)
    monkeypatch.setattr(transformers.integrations.liger, "is_liger_kernel_available", lambda: True)
    return asked


def test_transformers_puts_the_kernels_on_the_model(tiny_base: Path, fake_liger: list[Any]) -> None:
    load_base(str(tiny_base), Placement("cpu", "float32", quantized=False, attention="sdpa"))
    assert not fake_liger
    model = load_base(str(tiny_base), Placement("cpu", "float32", quantized=False, attention="sdpa", liger=True))
    ((given, options),) = fake_liger
    assert given is model
    assert options == {"fused_linear_cross_entropy": False}  # the model's forward stays
    assert has_answer_layer(model)


def test_kernels_that_change_nothing_agree(fake_liger: list[Any]) -> None:
    """The probe itself, on a CPU: two passes of the same model."""
    assert liger.run_liger("cpu") == {"error": 0.0}
    assert len(fake_liger) == 1


def test_kernels_that_are_wrong_are_found(fake_liger: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(model: Any) -> None:
        own = model.layers[0].mlp.forward
        model.layers[0].mlp.forward = lambda states: 2 * own(states)

    monkeypatch.setattr(liger, "apply_liger", spoil)
    assert liger.run_liger("cpu")["error"] > 0.05
