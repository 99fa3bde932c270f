"""The token cache: used if nothing that matters has changed, never otherwise, and never half-written."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movielora.errors import DataError, OutputError
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import SILENT, Phase
from movielora.prompt import template, token_cache
from movielora.prompt.render import render_input
from movielora.prompt.spec import PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.token_cache import clear_cache, tokenize_file
from movielora.prompt.token_sets import TokenizedExamples
from movielora.storage.hashing import file_sha256

# SHA-256 of the ids, offsets, labels and dropped lines of `EVERY_FORM` in each version, with their types. A new version
# is a new line; the old ones stay.
IDS_OF_VERSION = {1: "9f0e50a4549c43b0cd09522f20a60b86130e1731a270705fa1e646eb2a9abc61"}
_SHOWN = render_input(["Heat (1995)", "Am\u00e9lie", "  Ran:\t(1985) "], [4.5, 3, 0.5], "L\u00e9on <|im_end|>")
EVERY_FORM = [
    {"instruction": "Judge.", "input": _SHOWN, "output": "Yes"},
    {"instruction": "", "input": f"\n {_SHOWN} \n", "output": "no", "system": "Rate films."},
    {"instruction": "One text\n1. only\n", "output": "No", "history": [["Hello?", "Hello."]]},
    {"input": "Films:\n1. A\n2. B\n\n3. C\nCandidate film: D", "output": "Yes"},
    {"history_titles": ["Up", "E\u0301t\u00e9"], "candidate_title": "Ran", "label": "No"},
    {"history_titles": ["Up", "!"], "history_ratings": [5, 0.5], "candidate_title": "\ud83c", "label": "Yes"},
    {"history_titles": [], "candidate_title": "A\nB", "label": "Yes", "system": "", "instruction": "Decide:"},
]


class Ears:
    """A reporter that remembers what was reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[str] = []

    def phase(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Phase]:
        self.phases.append(name)
        return SILENT.phase(name, total, unit)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def row(candidate: str) -> str:
    text = render_input(["Heat (1995)", "Up (2009)", "Ran (1985)"], [4.5, 2, 5], candidate)
    return json.dumps({"instruction": "Judge.", "input": text, "output": "Yes"}) + "\n"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text(row("Alien") + row("Brazil") + row("Casablanca"))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "preprocessed"


def tokenize(
    rows: Path, tokenizer: Any, cache: Path, *, cutoff_len: int = 512, system: str | None = None
) -> tuple[TokenizedExamples, bool]:
    """The examples, copied out of the cache's files (a test may change those), and whether they were there before."""
    ears = Ears()
    found = tokenize_file(
        rows,
        PromptTemplate(tokenizer, None if system is None else PromptSpec().replacing("system", system)),
        tokenizer,
        cutoff_len=cutoff_len,
        cache_dir=cache,
        reporter=ears,
    )
    from_cache = ears.notes == [f"Tokens of {rows} come from the cache"]
    assert from_cache != bool(ears.phases)
    arrays = {name: np.array(getattr(found, name)) for name in ("ids", "offsets", "labels", "dropped_lines")}
    return replace(found, **arrays), from_cache


def assert_same(one: TokenizedExamples, other: TokenizedExamples) -> None:
    for name in ("ids", "offsets", "labels", "dropped_lines"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second), name
    assert one.answer_ids == other.answer_ids


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_the_second_call_comes_from_the_cache_and_is_the_same(rows: Path, tiny_tokenizer: Any, cache: Path) -> None:
    # A cutoff at which rows lose lines, so that every array holds something.
    whole, _ = tokenize(rows, tiny_tokenizer, cache)
    cutoff = int(whole.lengths.max()) - 3
    first, hit = tokenize(rows, tiny_tokenizer, cache, cutoff_len=cutoff)
    assert not hit
    assert first.rows_cut > 0
    again, hit = tokenize(rows, tiny_tokenizer, cache, cutoff_len=cutoff)
    assert hit
    assert_same(first, again)
    assert len(names(cache)) == 2
    assert all(name.startswith("tokens-") for name in names(cache))


def test_the_name_and_time_of_the_file_do_not_matter_its_bytes_do(rows: Path, tiny_tokenizer: Any, cache: Path) -> None:
    tokenize(rows, tiny_tokenizer, cache)
    copy = rows.with_name("copy.jsonl")
    shutil.copy(rows, copy)
    assert tokenize(copy, tiny_tokenizer, cache)[1]
    text = rows.read_text()
    rows.write_text(text.replace('"Yes"', '"No"', 1))
    changed, hit = tokenize(rows, tiny_tokenizer, cache)
    assert not hit
    assert changed.labels.tolist() == [False, True, True]


def test_another_cutoff_system_text_template_or_tokenizer_is_another_cache(
    rows: Path, tiny_base: Path, tiny_tokenizer: Any, cache: Path
) -> None:
    tokenize(rows, tiny_tokenizer, cache)
    assert not tokenize(rows, tiny_tokenizer, cache, cutoff_len=511)[1]
    for system in ("None", "", "Be brief."):
        assert not tokenize(rows, tiny_tokenizer, cache, system=system)[1]

    other_template = load_tokenizer(str(tiny_base))
    other_template.chat_template = other_template.chat_template.replace("'assistant\\n'", "'assistant  \\n'")
    other_template.chat_template += "{# changed #}"
    assert not tokenize(rows, other_template, cache)[1]

    other_words = load_tokenizer(str(tiny_base))
    other_words.add_tokens(["Casablanca"])
    assert not tokenize(rows, other_words, cache)[1]

    assert tokenize(rows, load_tokenizer(str(tiny_base)), cache)[1]  # and the same again is the same


def test_another_version_makes_every_cache_old(
    rows: Path, tiny_tokenizer: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenize(rows, tiny_tokenizer, cache)
    monkeypatch.setattr(token_cache, "IDS_VERSION", token_cache.IDS_VERSION + 1)
    assert not tokenize(rows, tiny_tokenizer, cache)[1]


def test_code_may_change_as_long_as_the_ids_do_not(
    rows: Path, tiny_tokenizer: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever edits a comment keeps the caches, and continues a comparison."""
    tokenize(rows, tiny_tokenizer, cache)
    key = token_cache.prompt_key(PromptTemplate(tiny_tokenizer), tiny_tokenizer, 512)
    changed = tmp_path / "template.py"
    changed.write_text(Path(template.__file__).read_text() + "\n# changed\n")
    monkeypatch.setattr(template, "__file__", str(changed))
    assert tokenize(rows, tiny_tokenizer, cache)[1]
    assert token_cache.prompt_key(PromptTemplate(tiny_tokenizer), tiny_tokenizer, 512) == key


def bytes_tokenizer(chat_template: str) -> Any:
    """One token a byte, and one each for Yes and No: nothing in it was trained, so only our own code moves its ids."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ye", "Yes", "No"]
    bpe = Tokenizer(BPE({word: number for number, word in enumerate(words)}, [("Y", "e"), ("Ye", "s"), ("N", "o")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", chat_template=chat_template)


def test_other_ids_need_another_version(tmp_path: Path, tiny_tokenizer: Any, cache: Path) -> None:
    """Each record form, a conversation, whitespace, titles that need cleaning, and a cutoff that takes lines."""
    path = tmp_path / "every_form.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in EVERY_FORM))
    tokenizer = bytes_tokenizer(tiny_tokenizer.chat_template)
    plain, _ = tokenize(path, tokenizer, cache, cutoff_len=4096)
    cut, _ = tokenize(path, tokenizer, cache, cutoff_len=int(plain.lengths.max()) - 3)
    ruled, _ = tokenize(path, tokenizer, cache, cutoff_len=4096, system="Be brief.")
    assert cut.rows_cut
    digest = hashlib.sha256()
    for found in (plain, cut, ruled):
        for array in (found.ids, found.offsets, found.labels, found.dropped_lines):
            digest.update(f"{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    assert IDS_OF_VERSION[token_cache.IDS_VERSION] == digest.hexdigest(), "raise IDS_VERSION and add its digest"


def _folder(cache: Path) -> Path:
    (folder,) = cache.glob("tokens-*")
    return folder


@pytest.mark.parametrize("name", ["ids.npy", "offsets.npy", "labels.npy", "dropped_lines.npy", "tokens.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "cut short", "nonsense"])
def test_a_damaged_cache_is_never_used_and_is_fixed(
    rows: Path, tiny_tokenizer: Any, cache: Path, name: str, how: str
) -> None:
    first, _ = tokenize(rows, tiny_tokenizer, cache)
    file = _folder(cache) / name
    whole = file.read_bytes()
    damaged = {"empty": b"", "cut short": whole[:-1] if name != "tokens.json" else whole[:9], "nonsense": b"x" * 300}
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(damaged[how])
    again, hit = tokenize(rows, tiny_tokenizer, cache)
    assert not hit
    assert_same(first, again)
    assert tokenize(rows, tiny_tokenizer, cache)[1]


def test_arrays_of_another_size_than_was_written_are_not_used(rows: Path, tiny_tokenizer: Any, cache: Path) -> None:
    first, _ = tokenize(rows, tiny_tokenizer, cache)
    np.save(_folder(cache) / "labels.npy", np.zeros(2, dtype=np.bool_))
    again, hit = tokenize(rows, tiny_tokenizer, cache)
    assert not hit
    assert_same(first, again)


def test_an_error_in_the_data_leaves_nothing(rows: Path, tiny_tokenizer: Any, cache: Path) -> None:
    rows.write_text(rows.read_text() + "{broken\n")
    with pytest.raises(DataError, match=r"train.jsonl line 4 is not JSON"):
        tokenize(rows, tiny_tokenizer, cache)
    assert not cache.exists()


def test_a_file_that_is_replaced_while_it_is_read_is_not_kept(
    rows: Path, tiny_tokenizer: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first content comes back later: the ids of the second must not be found under it."""
    first, real = rows.read_text(), token_cache.read_records
    wanted, _ = tokenize(rows, tiny_tokenizer, cache.with_name("elsewhere"))

    def replaced(path: Path, columns: Any) -> Any:
        path.write_text(row("Zardoz"))
        return real(path, columns)

    warnings: list[str] = []
    monkeypatch.setattr(token_cache, "read_records", replaced)
    monkeypatch.setattr(Ears, "warn", lambda self, text: warnings.append(text))
    assert len(tokenize(rows, tiny_tokenizer, cache)[0]) == 1
    assert warnings == [f"{rows} changed while it was read: its tokens are not kept"]
    monkeypatch.undo()
    rows.write_text(first)
    found, hit = tokenize(rows, tiny_tokenizer, cache)
    assert not hit
    assert_same(found, wanted)


def test_a_write_that_fails_leaves_nothing(
    rows: Path, tiny_tokenizer: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = token_cache._write_array, []

    def full_disk(path: Path, parts: Any) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        real(path, parts)

    monkeypatch.setattr(token_cache, "_write_array", full_disk)
    with pytest.raises(OutputError) as caught:
        tokenize(rows, tiny_tokenizer, cache)
    assert caught.value.message == f"the token cache {cache} cannot be written: No space left on device"
    assert "preprocessing_cache_dir" in caught.value.next_step
    assert written
    assert names(cache) == []


def test_a_cache_folder_that_is_a_file_is_one_sentence(rows: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        tokenize(rows, tiny_tokenizer, tmp_path / "file" / "cache")


def test_clear_cache_removes_ours_and_nothing_else(rows: Path, tiny_tokenizer: Any, cache: Path) -> None:
    tokenize(rows, tiny_tokenizer, cache)
    tokenize(rows, tiny_tokenizer, cache, cutoff_len=400)
    (cache / "tokens-mine").mkdir()
    (cache / "tokens-mine" / "diary.txt").write_text("keep")
    (cache / "tokens-notes.txt").write_text("keep")
    (cache / "other").mkdir()
    assert clear_cache(cache) == 2
    assert names(cache) == ["other", "tokens-mine", "tokens-notes.txt"]
    assert (cache / "tokens-mine" / "diary.txt").read_text() == "keep"
    assert clear_cache(cache) == 0
    assert clear_cache(cache / "none") == 0


def test_two_processes_at_once_both_end_well(
    rows: Path, tiny_tokenizer: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both wait for the other before they save, so that both find no cache and both write one."""
    processes = multiprocessing.get_context("fork")
    gate, said = processes.Barrier(2), processes.Queue()
    real = token_cache._save

    def save_together(*arguments: Any) -> None:
        gate.wait(timeout=30)
        real(*arguments)

    def work() -> None:
        found, _ = tokenize(rows, tiny_tokenizer, cache)
        said.put(found.ids.tolist())

    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # its threads do not live on in a forked process
    monkeypatch.setattr(token_cache, "_save", save_together)
    both = [processes.Process(target=work) for _ in range(2)]
    for process in both:
        process.start()
    heard = [said.get(timeout=30) for _ in both]
    for process in both:
        process.join(timeout=60)
    assert [process.exitcode for process in both] == [0, 0]
    found, hit = tokenize(rows, tiny_tokenizer, cache)
    assert hit
    assert heard == [found.ids.tolist()] * 2
    assert len(names(cache)) == 1


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, the one-block message
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="does not exist"):
        file_sha256(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        file_sha256(tmp_path)
