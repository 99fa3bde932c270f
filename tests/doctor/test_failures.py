"""The table of known failures, text by text, as users paste them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from movielora.cli import main
from movielora.doctor.failures import explain

# What the user sees → (subject, name, words of the fix).
TEXTS = [
    (
        "ImportError: /lib/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: "
        "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        "wheel ABI TRUE, torch ABI FALSE",
        "2.7.4.post1",
    ),
    (
        "ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs",
        "wheel ABI FALSE, torch ABI TRUE",
        "abiTRUE",
    ),
    (
        "ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c106detail14torchCheckFailEPKcS2_jRKSs",
        "wheel ABI FALSE, torch ABI TRUE",
        "abiTRUE",
    ),
    (
        "undefined symbol: _ZN2at4_ops5zeros4callEN3c108ArrayRefINS2_6SymIntEEENS2_8optionalINS2_10ScalarTypeEEE",
        "wheel of another torch",
        "exact minor version",
    ),
    ("undefined symbol: at::_ops::empty_like::call", "wheel of another torch", "exact minor version"),
    ("undefined symbol: _ZN3c104cuda9SetDeviceEab", "wheel of another torch", "exact minor version"),
    (
        "ImportError: libc10.so: cannot open shared object file: No such file or directory",
        "torch not imported first",
        "import torch",
    ),
    (
        "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.32' not found (required by flash_attn_2_cuda)",
        "C library too old",
        "2.7.4.post1",
    ),
    (
        "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
        "building from source without CUDA's compiler",
        "by its URL",
    ),
    ("/bin/sh: 1: nvcc: not found", "building from source without CUDA's compiler", "by its URL"),
    ("ModuleNotFoundError: No module named 'torch'", "build isolation hides torch", "--no-build-isolation"),
    (
        "OSError: [Errno 18] Invalid cross-device link: 'flash_attn.whl' -> '/home/u/.cache/pip/wheels/x.whl'",
        "the build moves a file across filesystems",
        "by its URL",
    ),
    ("RuntimeError: FlashAttention only supports Ampere GPUs or newer.", "GPU too old", "sdpa"),
    ("\N{POLICE CARS REVOLVING LIGHT} CUDA VERSION MISMATCH", "no library for this CUDA", "unset BNB_CUDA_VERSION"),
    (
        "RuntimeError: No compatible CUDA binary found at /x/libbitsandbytes_cuda117.so",
        "no library for this CUDA",
        "unset BNB_CUDA_VERSION",
    ),
    (
        "RuntimeError: BNB_CUDA_VERSION='twelve': value must be digits only (e.g. '124' for 12.4).",
        "override without such a library",
        "unset the override",
    ),
    (
        "libcudart.so.12: cannot open shared object file: No such file or directory",
        "CUDA libraries of another major version",
        "LD_LIBRARY_PATH",
    ),
    (
        "RuntimeError: Method 'cget_managed_ptr' not available in CPU-only version of bitsandbytes.",
        "no CUDA for bitsandbytes",
        "CUDA_VISIBLE_DEVICES",
    ),
]


@pytest.mark.parametrize(("text", "name", "fix"), TEXTS, ids=[f"{index}" for index in range(len(TEXTS))])
def test_each_known_text_is_recognised(text: str, name: str, fix: str) -> None:
    (found,) = explain(f"Traceback (most recent call last):\n  File x\n{text}\n")
    assert found.name == name
    assert fix in found.fix
    assert found.number == 3
    assert found.cause
    assert found.command


@pytest.mark.parametrize(
    "text",
    ["", "all is well", "undefined symbol: my_own_function", "No module named 'torchvision'", "GLIBC_2.32 found"],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert explain(text) == []


def test_a_repeated_failure_is_told_once_and_two_are_told_in_order() -> None:
    text = "nvcc: not found\nnvcc: not found\nonly supports Ampere GPUs or newer"
    assert [(found.number, found.subject) for found in explain(text)] == [(1, "flash-attn"), (3, "flash-attn")]


def _explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--explain", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_log_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "pip.log"
    log.write_bytes(b"\xff\xfe noise\nOSError: CUDA_HOME environment variable is not set. [red]x[/red]\n")
    code, out, _ = _explain(capsys, str(log))
    assert code == 0
    assert "[red]x[/red]" in out
    assert "→ movielora doctor wheel" in out


def test_a_pasted_log_is_explained_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\nlibcublas.so.13: cannot open shared object file\n"))
    code, out, _ = _explain(capsys, "-", "--json")
    assert code == 0
    (found,) = json.loads(out)["failures"]
    assert (found["subject"], found["number"]) == ("bitsandbytes", 2)


def test_a_missing_log_is_one_sentence_and_a_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _explain(capsys, str(tmp_path / "none.log"))
    assert (code, out) == (2, "")
    assert "cannot be read" in err
    assert "--explain -" in err
