"""What was made fast, held against its plain form."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from movielora.examples.importers.rendered_text import find_history, split_history
from movielora.machine.garbage_collector import collector_paused
from movielora.model.tokenizer import load_tokenizer

LINES = st.sampled_from(["1. A", "2. B: 4", "30. ", "7.x", "", " 1. A", "no", "1.\tA", "٣. A", "1. A\r", "1. A\u2028"])


def _by_line(text: str) -> tuple[list[str], list[str], list[str]]:
    """The longest run of numbered lines, the first of equals, line by line."""
    lines = text.split("\n")
    best_start, best_end, start = 0, 0, 0
    for index, line in enumerate([*lines, ""]):
        if not re.match(r"^\d+\. ", line):
            if index - start > best_end - best_start:
                best_start, best_end = start, index
            start = index + 1
    return lines[:best_start], lines[best_start:best_end], lines[best_end:]


@given(st.lists(LINES, min_size=1).map("\n".join))
@example("1. A\n")
@example("1. A\n2. B\n\n1. C\n2. D")
@example("x\n1. A")
def test_history_is_found_as_line_by_line(text: str) -> None:
    before, history, after = _by_line(text)
    assert split_history(text) == (before, history, after)
    start, end = find_history(text)
    assert text[start:end].removesuffix("\n") == "\n".join(history)


@pytest.mark.parametrize("folder", ["tiny", pytest.param("qwen", marks=pytest.mark.shared)])
def test_the_tokenizer_is_the_one_autotokenizer_loads(folder: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue("tiny_base") if folder == "tiny" else request.getfixturevalue("shared")
    path = path if folder == "tiny" else path / "qwen3-tokenizer"
    found, expected = load_tokenizer(str(path)), AutoTokenizer.from_pretrained(path)
    assert type(found) is type(expected)
    assert found.backend_tokenizer.to_str() == expected.backend_tokenizer.to_str()
    assert found.chat_template == expected.chat_template
    assert found.special_tokens_map == expected.special_tokens_map


def test_a_tokenizer_loads_without_torch(tiny_base: Path) -> None:
    code = (
        "import sys; from movielora.prompt.template import PromptTemplate; "
        "from movielora.model.tokenizer import load_tokenizer; "
        f"PromptTemplate(load_tokenizer({str(tiny_base)!r})); print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def _fail_while_paused() -> None:
    with collector_paused():
        assert not gc.isenabled()
        raise ValueError("within")


def test_the_collector_is_back_after_a_failure_and_stays_off_where_it_was() -> None:
    gc.enable()
    with pytest.raises(ValueError, match="within"):
        _fail_while_paused()
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
