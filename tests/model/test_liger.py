"""Liger's kernels: when they are taken, what is said, and what is put on the model. The kernels need a GPU."""

from __future__ import annotations

import sys
import types
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.integrations.liger
from pydantic import ValidationError
from transformers.models.qwen3 import modeling_qwen3

from movielora.config import Config
from movielora.errors import ModelError
from movielora.machine.child import KernelProbe, Outcome
from movielora.model import base
from movielora.model.answer_layer import has_answer_layer
from movielora.model.base import Placement, choose_placement, load_base
from movielora.model.kernels import liger
from movielora.model.kernels.liger import choose_liger, probe_liger, read_liger_probe

WORKS = KernelProbe("0.8.5", True, "liger-kernel 0.8.5 agrees with Qwen3's own, forward and backward")
ABSENT = KernelProbe(None, False, "liger-kernel is not installed")


def _never() -> KernelProbe:
    raise AssertionError("nothing needs to be tried")


def test_auto_takes_what_works() -> None:
    assert choose_liger("auto", "cuda", compiled=False, probe=lambda: WORKS) == (True, WORKS.reason)
    taken, reason = choose_liger("auto", "cuda", compiled=False, probe=lambda: ABSENT)
    assert not taken
    assert reason == "the model's own: liger-kernel is not installed"


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


def test_another_model_keeps_its_own_kernels() -> None:
    taken, reason = choose_liger("auto", "cuda", compiled=False, probe=_never, model_type=lambda: "llama")
    assert (taken, reason) == (False, "the model's own: Liger is not for this model (llama)")
    with pytest.raises(ModelError, match="not for this model"):
        choose_liger(True, "cuda", compiled=False, probe=_never, model_type=lambda: "llama")


def test_the_placement_asks_the_bases_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(base, "probe_liger", _never)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    config = Config(bf16=False, flash_attn="sdpa")
    placement = choose_placement(config, base=str(tmp_path))
    assert not placement.liger
    assert "not for this model (llama)" in placement.liger_reason
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    monkeypatch.setattr(base, "probe_liger", lambda: WORKS)
    assert choose_placement(config, base=str(tmp_path)).liger


def test_compiler_and_liger_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="fuse the same operations"):
        Config(enable_liger_kernel=True, torch_compile=True)


def test_the_placement_says_what_was_chosen() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    placement = choose_placement(Config())
    assert not placement.liger
    assert "needs a CUDA GPU" in placement.liger_reason
    with pytest.raises(ModelError, match="enable_liger_kernel: true cannot work here"):
        choose_placement(Config(enable_liger_kernel=True))


def test_the_verdict_over_what_the_child_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liger, "installed_liger", lambda: "0.8.5")
    assert read_liger_probe(Outcome({"error": 0.01})).usable
    wrong = read_liger_probe(Outcome({"error": 0.5}))
    assert (wrong.usable, wrong.reason) == (False, "liger-kernel 0.8.5 gives gradients that are off by 50%")
    assert not read_liger_probe(Outcome({"error": float("nan")})).usable
    dead = read_liger_probe(Outcome(None, "Traceback\nRuntimeError: Failed to find C compiler."))
    assert dead.reason == "liger-kernel 0.8.5 fails: RuntimeError: Failed to find C compiler."
    monkeypatch.setattr(liger, "installed_liger", lambda: None)
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
    # The model's forward stays, and what belongs to the process.
    assert options == {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False}
    assert has_answer_layer(model)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_liger_stays_in_transformers(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    names = ("Qwen3RMSNorm", "Qwen3MLP", "apply_rotary_pos_emb")
    own = [getattr(modeling_qwen3, name) for name in names]
    spoilt: list[str] = []

    def spoil(model: Any, options: dict[str, Any]) -> None:
        for name in names:
            monkeypatch.setattr(modeling_qwen3, name, None)
            spoilt.append(name)
        if fails:
            raise RuntimeError("no kernel")

    monkeypatch.setattr(transformers.integrations.liger, "apply_liger_kernel", spoil)
    with pytest.raises(RuntimeError) if fails else nullcontext():
        liger.apply_liger(None)
    assert spoilt == list(names)
    assert [getattr(modeling_qwen3, name) for name in names] == own


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
