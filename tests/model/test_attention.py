"""The choice of an attention kernel, and the probe that lies under it, on real child processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from movielora.config import Config
from movielora.errors import ModelError
from movielora.machine.child import KernelProbe, Outcome, run_probes
from movielora.model.base import choose_placement
from movielora.model.kernels import attention
from movielora.model.kernels.attention import (
    choose_attention,
    probe_flash_attention,
    read_flash_probe,
    sdpa_rows,
    worst_disagreement,
)

WORKS = KernelProbe("2.8.3", True, "flash-attn 2.8.3 agrees with sdpa, forward and backward")
ABSENT = KernelProbe(None, False, "flash-attn is not installed")


def _never() -> KernelProbe:
    raise AssertionError("the probe ran where nothing depends on it")


def test_auto_takes_flash_attention_only_where_the_probe_passed() -> None:
    chosen = choose_attention("auto", lambda: WORKS)
    assert chosen.implementation == "flash_attention_2"
    assert "agrees with sdpa" in chosen.reason
    fallen_back = choose_attention("auto", lambda: ABSENT)
    assert (fallen_back.implementation, fallen_back.reason) == ("sdpa", "sdpa: flash-attn is not installed")


def test_named_values_are_taken_at_their_word() -> None:
    assert choose_attention("sdpa", _never).implementation == "sdpa"
    assert choose_attention("eager", _never).implementation == "eager"
    assert choose_attention(False, _never).implementation is None
    assert choose_attention("flash_attention_2", lambda: WORKS).implementation == "flash_attention_2"


def test_a_named_kernel_that_cannot_work_is_an_error_with_its_cure() -> None:
    with pytest.raises(ModelError, match="flash-attn is not installed") as caught:
        choose_attention("flash_attention_2", lambda: ABSENT)
    assert "flash_attn: auto" in caught.value.next_step


def test_flash_attention_is_not_for_fp32() -> None:
    assert choose_attention("auto", _never, half_precision=False).implementation == "sdpa"
    with pytest.raises(ModelError, match="fp32"):
        choose_attention("flash_attention_2", _never, half_precision=False)


def test_a_machine_without_a_gpu_is_told_so_before_anything_loads() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="needs a CUDA GPU, and torch sees none") as caught:
        choose_placement(Config(flash_attn="flash_attention_2", bf16=True))
    assert "flash_attn: auto" in caught.value.next_step
    assert choose_placement(Config(bf16=True)).attention == "sdpa"


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(ModelError, match="no attention kernel"):
        choose_attention("xformers", _never)  # type: ignore[arg-type]


@pytest.fixture
def fake_flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flash_attn package ahead of every other, seen by this process and its children; its code is each test's."""
    package = tmp_path / "site" / "flash_attn"
    package.mkdir(parents=True)
    described = tmp_path / "site" / "flash_attn-2.8.3.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.8.3\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return package


def test_a_broken_compiled_module_is_told_and_sdpa_taken(fake_flash: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the broken module with")
    symbol = "_ZN3c105ErrorC2ENS_14SourceLocationESs"
    source = fake_flash / "broken.c"
    source.write_text(
        f"extern void {symbol}(void);\nvoid *PyInit_flash_attn_2_cuda(void) {{ {symbol}(); return 0; }}\n"
    )
    module = fake_flash.parent / f"flash_attn_2_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", module, source, "-Wl,-z,now"], check=True)
    (fake_flash / "__init__.py").write_text("import flash_attn_2_cuda\n")
    probe = probe_flash_attention()
    assert (probe.installed, probe.usable) == ("2.8.3", False)
    assert f"undefined symbol: {symbol}" in probe.error
    assert choose_attention("auto", lambda: probe).implementation == "sdpa"


def test_a_module_that_aborts_the_process_is_told_and_sdpa_taken(fake_flash: Path) -> None:
    (fake_flash / "__init__.py").write_text("import os\nos.abort()\n")
    probe = probe_flash_attention()
    assert not probe.usable
    assert "SIGABRT" in probe.reason


def test_a_module_that_hangs_is_told_in_time(fake_flash: Path) -> None:
    (fake_flash / "__init__.py").write_text("import time\ntime.sleep(600)\n")
    probe = probe_flash_attention(seconds=12.0)
    assert not probe.usable
    assert "no answer within 12 s" in probe.reason


def test_a_wheel_that_loads_without_a_gpu_is_not_used(fake_flash: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (fake_flash / "__init__.py").write_text("flash_attn_func = flash_attn_varlen_func = None\n")
    assert "torch sees no CUDA GPU" in probe_flash_attention().reason


def test_a_probe_that_did_not_answer_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "installed_flash_attn", lambda: "2.8.3")
    probe = read_flash_probe(Outcome(None, "noise\nthe process was ended by SIGILL"))
    assert (probe.usable, probe.reason) == (False, "flash-attn 2.8.3 fails: the process was ended by SIGILL")


def test_the_probes_arithmetic_tells_wrong_gradients_from_right_ones() -> None:
    """On the CPU, with sdpa in flash-attn's clothes: it agrees with itself, and not without the keys' gradients."""
    import torch

    def fixed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
        return sdpa_rows(q[0], k[0], v[0]).unsqueeze(0)

    def packed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *bounds: object, causal: bool) -> torch.Tensor:
        return sdpa_rows(q, k, v)

    def without_gradient(q: torch.Tensor, k: torch.Tensor, *rest: object, causal: bool) -> torch.Tensor:
        return packed(q, k.detach(), *rest, causal=causal) + 0 * k.sum()

    def without_numbers(q: torch.Tensor, *rest: object, causal: bool) -> torch.Tensor:
        return packed(q, *rest, causal=causal) * float("nan")

    assert worst_disagreement(fixed, packed, "cpu") <= 1
    assert worst_disagreement(fixed, without_gradient, "cpu") > 1
    assert worst_disagreement(fixed, without_numbers, "cpu") > 1


def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "probes_of_this_test.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))


def test_one_child_serves_several_probes_and_a_crash_blames_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(
        tmp_path,
        monkeypatch,
        "import os\n"
        "def pid():\n    print('noise on stdout')\n    return {'pid': os.getpid()}\n"
        "def crash():\n    os.abort()\n"
        "def fail():\n    raise ValueError('told')\n",
    )
    names = {"first": "pid", "second": "pid", "bad": "crash", "third": "pid", "failed": "fail"}
    found = run_probes({name: f"probes_of_this_test:{function}" for name, function in names.items()}, 60)
    assert found["first"].value == found["second"].value != found["third"].value
    assert found["bad"].value is None
    assert found["bad"].last_line == "the process was ended by SIGABRT"
    assert found["failed"].last_line == "ValueError: told"


def test_a_missing_probe_module_is_an_outcome_and_no_crash() -> None:
    found = run_probes({"none": "no_such_module_anywhere:f"}, 60)
    assert "No module named" in found["none"].last_line
