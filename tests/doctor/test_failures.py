"""The table of known failures, text by text, as users paste them."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from movielora.cli import main
from movielora.doctor import failures
from movielora.doctor.failures import explain, read_errors

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


# As the libraries write them: (text, subject, name).
MESSAGES = [
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.65 "
        "GiB of which 1.10 GiB is free.",
        "GPU memory",
        "out of GPU memory",
    ),
    ("RuntimeError: CUDA error: out of memory", "GPU memory", "out of GPU memory"),
    (
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "GPU memory",
        "out of GPU memory",
    ),
    (
        "error: one row at a time is too much for this memory: CUDA out of memory",
        "GPU memory",
        "one row is too much",
    ),
    (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 4831838208 bytes. Error code 12 (Cannot allocate memory)",
        "memory",
        "out of memory (not the GPU's)",
    ),
    ("Killed", "memory", "out of memory (not the GPU's)"),
    ("MemoryError", "memory", "out of memory (not the GPU's)"),
    (
        "[48111.1] Out of memory: Killed process 4711 (movielora) total-vm:31kB",
        "memory",
        "out of memory (not the GPU's)",
    ),
    (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=99.0. Some of the step tasks have been OOM Killed.",
        "memory",
        "out of memory (not the GPU's)",
    ),
    (
        "RuntimeError: DataLoader worker (pid 99) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory.",
        "memory",
        "shared memory too small",
    ),
    ("KeyError: 'qwen3'", "transformers", "transformers too old for this model"),
    (
        "ValueError: The checkpoint you are trying to load has model type `qwen3` but Transformers does not recognize "
        "this architecture.",
        "transformers",
        "transformers too old for this model",
    ),
    (
        "ImportError: cannot import name 'Qwen3ForCausalLM' from 'transformers'",
        "transformers",
        "transformers too old for this model",
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        "driver",
        "driver too old",
    ),
    (
        "Error 803: CUDA driver version is insufficient for CUDA runtime version",
        "driver",
        "driver too old",
    ),
    ("RuntimeError: Found no NVIDIA driver on your system.", "driver", "no driver"),
    ("RuntimeError: No CUDA GPUs are available", "driver", "no driver"),
    ("Failed to initialize NVML: Driver/library version mismatch", "driver", "driver and library differ"),
    ("AssertionError: Torch not compiled with CUDA enabled", "torch", "torch without CUDA"),
    (
        "CUDA error: no kernel image is available for execution on the device",
        "torch",
        "torch without code for this GPU",
    ),
    (
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        "torch",
        "torch without code for this GPU",
    ),
    ("CUDA error: an illegal memory access was encountered", "GPU", "the GPU's computation broke"),
    ("RuntimeError: expected scalar type Half but found Float", "precision", "types of weights and inputs differ"),
    (
        "RuntimeError: mat1 and mat2 must have the same dtype, but got Float and BFloat16",
        "precision",
        "types of weights and inputs differ",
    ),
    (
        "RuntimeError: expected m1 and m2 to have the same dtype, but got: float != c10::BFloat16",
        "precision",
        "types of weights and inputs differ",
    ),
    (
        "RuntimeError: Input type (float) and bias type (c10::Half) should be the same",
        "precision",
        "types of weights and inputs differ",
    ),
    (
        "RuntimeError: \"addmm_impl_cpu_\" not implemented for 'Half'",
        "precision",
        "types of weights and inputs differ",
    ),
    ("ValueError: Attempting to unscale FP16 gradients.", "precision", "types of weights and inputs differ"),
    (
        "RuntimeError: FlashAttention only support fp16 and bf16 data type",
        "flash-attn",
        "weights of another type",
    ),
    ("OSError: [Errno 28] No space left on device: 'output/x/checkpoint-20'", "disk", "disk full"),
    ("OSError: [Errno 122] Disk quota exceeded", "disk", "disk full"),
    (
        "safetensors_rust.SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)",
        "disk",
        "disk full",
    ),
    ("OSError: [Errno 30] Read-only file system: '/models'", "disk", "cannot be written"),
    (
        "[rank1]:[E716 ProcessGroupNCCL.cpp:632] [Rank 1] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=42, OpType=ALLREDUCE, Timeout(ms)=1800000) ran for 1800001 milliseconds before timing out.",
        "NCCL",
        "several processes waited for each other",
    ),
    (
        "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp:268, unhandled cuda error",
        "NCCL",
        "several processes waited for each other",
    ),
    (
        "Exception: data did not match any variant of untagged enum ModelWrapper at line 757443 column 3",
        "tokenizer",
        "tokenizer file of another version",
    ),
    (
        "OSError: Can't load tokenizer for 'models/qwen'. If you were trying to load it from the Hub, make sure",
        "tokenizer",
        "tokenizer files missing",
    ),
    (
        "ValueError: Cannot use chat template functions because tokenizer.chat_template is not set and no template "
        "argument was passed!",
        "tokenizer",
        "no chat template",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
        "safetensors",
        "the file is no safetensors file",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: header too large",
        "safetensors",
        "the file is no safetensors file",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
        "safetensors",
        "the file is cut short",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: "
        "incomplete metadata, file not fully covered",
        "safetensors",
        "the file is cut short",
    ),
    (
        "OSError: models/q does not appear to have a file named pytorch_model.bin or model.safetensors.",
        "model",
        "weights missing",
    ),
    (
        "ImportError: flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so: undefined symbol: _ZNR5torch7Library4_def",
        "flash-attn",
        "library does not fit",
    ),
    (
        "AttributeError: /x/libbitsandbytes_cpu.so: undefined symbol: cquantize_blockwise_fp16_nf4",
        "bitsandbytes",
        "library without CUDA's functions",
    ),
    (
        "ImportError: Using `bitsandbytes` 4-bit quantization requires bitsandbytes: "
        "`pip install -U bitsandbytes>=0.46.1`",
        "bitsandbytes",
        "not installed, or too old",
    ),
    (
        "You are trying to access a gated repo.",
        "model",
        "gated, private or not found",
    ),
    (
        "huggingface_hub.errors.HfHubHTTPError: 401 Client Error: Unauthorized for url: https://hub/api/models/x",
        "model",
        "gated, private or not found",
    ),
    (
        "error: the model Qwen/Qwen3-0.6B is not on this machine and cannot be fetched: offline mode is on",
        "model",
        "the hub is not reachable",
    ),
    (
        "ValueError: Target modules {'qkv_proj'} not found in the base model. Please check the target modules and try "
        "again.",
        "PEFT",
        "no such modules in the model",
    ),
    (
        "ValueError: Please specify `target_modules` in `peft_config`",
        "PEFT",
        "no such modules in the model",
    ),
    (
        "size mismatch for base_model.model.model.layers.0.mlp.down_proj.lora_A.default.weight: copying a param",
        "PEFT",
        "adapter of another model",
    ),
    (
        "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x.so)",
        "system",
        "C++ library too old",
    ),
    (
        "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.0 as it may crash.",
        "NumPy",
        "compiled for another NumPy",
    ),
]


# As people type them from memory: (text, name).
PLAIN = [
    ("out of memory", "out of memory, of the GPU or of the machine"),
    ("Ran Out Of Memory.", "out of memory, of the GPU or of the machine"),
    ("OOM", "out of GPU memory"),
    ("cuda out of memory", "out of GPU memory"),
    ("MPS backend out of memory (MPS allocated: 8.00 GB)", "out of GPU memory"),
    ("CUDA error: out of memory", "out of GPU memory"),
    ("Triton Error [CUDA]: out of memory", "out of GPU memory"),
    ("torch.OutOfMemoryError: CUDA out of memory", "out of GPU memory"),
    ("CUBLAS_STATUS_ALLOC_FAILED", "out of GPU memory"),
    ("CUDNN_STATUS_ALLOC_FAILED", "out of GPU memory"),
    ("CUBLAS_STATUS_NOT_INITIALIZED", "out of GPU memory"),
    ("no space left", "disk full"),
    ("the disk is full", "disk full"),
    ("No module named 'flash_attn'", "flash-attn is not installed"),
    ("ModuleNotFoundError: No module named 'flash_attn_2_cuda'", "flash-attn is not installed"),
    ("loss is nan", "the loss is no number"),
    ("error: the training loss is nan at step 20", "the loss is no number"),
    ("{'loss': nan, 'grad_norm': nan, 'learning_rate': 1e-4}", "the loss is no number"),
    ("a bus error: the worker is killed by signal: bus error", "shared memory too small"),
    ("İİİ: No space LEFT", "disk full"),  # the small letter of İ is two characters
]


@pytest.mark.parametrize(("text", "name"), PLAIN)
def test_words_typed_from_memory_are_recognised(text: str, name: str) -> None:
    assert [found.name for found in explain(text)] == [name]


def test_the_place_of_words_is_that_in_the_line_as_it_is_written() -> None:
    (found,) = explain("İ" * 300 + "x" * 100 + "No space left")
    assert found.line == "x" * 100 + "No space left"


@pytest.mark.parametrize("text", ["sigkill", "undefined symbol: SourceLocation::process", "a boom", "lossless nano"])
def test_names_match_only_as_they_are_written(text: str) -> None:
    assert explain(text) == []


@pytest.mark.parametrize(("text", "subject", "name"), MESSAGES, ids=[f"{index}" for index in range(len(MESSAGES))])
def test_messages_of_the_libraries_are_recognised(text: str, subject: str, name: str) -> None:
    reading = read_errors(f"loading\n{text}\n")
    (found,) = reading.known
    assert (found.subject, found.name, found.number) == (subject, name, 2)
    assert reading.unrecognised == ()


def test_a_table_of_plain_texts_takes_time_in_proportion_to_a_line() -> None:
    """A pattern with two repetitions took seconds for a line of 93,000 characters."""
    table = json.loads((Path(failures.__file__).parent / "failures.json").read_text(encoding="utf-8"))["failures"]
    for row in table:
        assert all(text and isinstance(text, str) for group in row["texts"] for text in group), row["name"]
    assert len({row["name"] for row in table}) == len(table)
    line = "undefined symbol SourceLocation " * 3000 + "CUDA out of memory " + "BNB_CUDA_VERSION= lib" * 3000
    (found,) = explain(line)
    assert found.name == "out of GPU memory"
    assert "CUDA out of memory" in found.line
    assert len(found.line) <= 400


def test_several_failures_in_one_line_are_told_in_their_order() -> None:
    text = "No space left on device; then KeyError: 'qwen3'; then CUDA out of memory"
    assert [found.name for found in explain(text)] == [
        "disk full",
        "transformers too old for this model",
        "out of GPU memory",
    ]


def test_errors_that_are_not_known_are_named() -> None:
    text = "step 3\nZeroDivisionError: float division by zero\nok\nOSError: [Errno 28] No space left on device\n"
    reading = read_errors(text)
    assert [(found.number, found.name) for found in reading.known] == [(4, "disk full")]
    assert [(each.number, each.line) for each in reading.unrecognised] == [
        (2, "ZeroDivisionError: float division by zero")
    ]


def test_a_redrawn_progress_bar_is_not_shown_whole() -> None:
    (found,) = explain("1%\r2%\r3%\rCUDA out of memory")
    assert (found.number, found.line) == (1, "CUDA out of memory")


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


def test_a_text_is_explained_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _explain(capsys, "CUDA out of memory. Tried to allocate 2.00 GiB")
    assert code == 0
    assert "GPU memory: out of GPU memory" in out
    assert _explain(capsys, "torch.OutOfMemoryError")[0] == 0
    assert max(map(len, out.splitlines()[:3])) <= 80


def test_what_is_not_recognised_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _explain(capsys, "ValueError: the moon is full\nKeyError: 'qwen3'")
    assert code == 0
    assert out.index("transformers too old") < out.index("Not recognised:") < out.index("the moon is full")
    found = json.loads(_explain(capsys, "ValueError: the moon is full", "--json")[1])
    assert found == {"failures": [], "unrecognised": [{"number": 1, "line": "ValueError: the moon is full"}]}


@pytest.mark.parametrize("given", ["", "  ", "typo.log"])
def test_a_word_that_is_neither_file_nor_failure_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _explain(capsys, given)
    assert (code, out) == (2, "")
    assert "--explain -" in err


@pytest.mark.parametrize("given", ["a", "output/a"])
def test_a_run_means_its_log(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "output" / "a"
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "run_v1", folder)
    (folder / "train.log").write_text("one\nKeyError: 'qwen3'\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = _explain(capsys, given, "--json")
    assert code == 0
    assert [found["number"] for found in json.loads(out)["failures"]] == [2]
    (folder / "train.log").unlink()
    code, out, err = _explain(capsys, given)
    assert (code, out) == (2, "")
    assert "output/a/train.log cannot be read" in " ".join(err.split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Foo", "Foo is no file, no run, and no text of a known failure"),
        ("Foo.log", "the log Foo.log cannot be read: there is no such file"),
        ("empty", "empty is a folder and holds no run"),
        ("./empty", "./empty is a folder and holds no run"),
    ],
)
def test_what_it_was_taken_for_is_said(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, err = _explain(capsys, given)
    assert code == 2
    assert said in " ".join(err.split())


def test_a_folder_and_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _explain(capsys, str(tmp_path))[0] == 2
    reading, writing = os.pipe()
    os.write(writing, b"KeyError: 'qwen3'\n")
    os.close(writing)
    code, out, _ = _explain(capsys, f"/dev/fd/{reading}")
    os.close(reading)
    assert (code, "transformers too old" in out) == (0, True)
