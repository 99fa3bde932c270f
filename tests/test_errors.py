"""Errors of other libraries, told in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from movielora.errors import ModelError, first_line, shell_command
from movielora.model.base import Placement, load_base
from movielora.model.tokenizer import load_tokenizer


@pytest.mark.parametrize(
    ("said", "line"),
    [("", "ValueError"), (" \n", "ValueError"), ("\n  it broke \nhere", "it broke"), ("one\r\ntwo", "one")],
)
def test_first_line(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line


def test_a_shell_reads_a_printed_command_back() -> None:
    words = ["movielora", "resume", "runs/my run", "it's", "$HOME", Path("a;b")]
    read = subprocess.run(["sh", "-c", f"printf '%s\\n' {shell_command(*words)}"], capture_output=True, text=True)
    assert read.stdout.splitlines() == [str(word) for word in words]


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
