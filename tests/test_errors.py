"""Errors of other libraries, told in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import ModelError, first_line, shell_command, what_helps
from movielora.model.base import Placement, load_base
from movielora.model.tokenizer import load_tokenizer


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", "ValueError"),
        (" \n", "ValueError"),
        ("\n  it broke \nhere", "it broke"),
        ("one\r\ntwo", "one"),
        ("Errors:\n\n\ta is 1\n\tb is 2", "Errors: a is 1"),
        ("Errors:", "Errors:"),
    ],
)
def test_first_line(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line


def test_a_shell_reads_a_printed_command_back() -> None:
    words = ["movielora", "resume", "runs/my run", "it's", "$HOME", Path("a;b")]
    read = subprocess.run(["sh", "-c", f"printf '%s\\n' {shell_command(*words)}"], capture_output=True, text=True)
    assert read.stdout.splitlines() == [str(word) for word in words]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "fix its permissions"),
        (errno.EPERM, "fix its permissions"),
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "its file system is mounted read-only: choose another place"),
        (errno.EIO, "its disk or network share does not answer as it should: see to that, then run the same again"),
        (errno.EFBIG, "see to the reason given, then run the same again"),
    ],
)
def test_permissions_are_named_only_where_they_are_the_reason(number: int, said: str) -> None:
    assert what_helps(OSError(number, os.strerror(number))) == said


def test_a_file_that_is_too_large_for_its_place_is_not_said_to_need_permissions(tmp_path: Path) -> None:
    """A real process in which no file may grow, as on a full disk: EFBIG."""
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from movielora.evaluation.saved.folder import ComparisonFolder\n"
        "from movielora.evaluation.saved.own_files import write_own\n"
        "folder = ComparisonFolder(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "try: write_own(folder, folder.root / 'page.html', 'text')\n"
        "except Exception as error: print(type(error).__name__, error, '|', error.next_step)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"OutputError {tmp_path}/page.html cannot be written: File too large | "
        "see to the reason given, then run the same again"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_error_without_text_is_told_by_its_class(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise OSError

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fails)
    with pytest.raises(ModelError, match="cannot be loaded: OSError"):
        load_base(str(tiny_base), Placement("cpu", "float32", quantized=False, attention=None))


def test_a_tokenizer_that_fails_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", fails)
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(ModelError, match=r"no tokenizer at .*: ValueError"):
        load_tokenizer(str(tmp_path))
