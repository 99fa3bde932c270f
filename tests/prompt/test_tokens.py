"""Token ids: joined pieces are plain tokenizing, or plain tokenizing is what happens; the cutoff takes whole lines."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movielora.config import Config
from movielora.errors import DataError, ModelError
from movielora.examples.example import Example
from movielora.examples.importers.records import read_records
from movielora.examples.importers.rendered_text import own_text
from movielora.model.tokenizer import load_tokenizer
from movielora.progress import SILENT
from movielora.prompt import text_tokens as tokens
from movielora.prompt.render import render, render_input
from movielora.prompt.spec import INSTRUCTION, SYSTEM, PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import ANSWER_TOKENS, TokenizedExamples

# Joining is proved on 256 rows spread over the first 4,096; with 257 rows the odd ones are not among them.
_ORDINARY = 256
_NO_CUTOFF = 1 << 20


class CountingTokenizer:
    """A tokenizer that remembers how many texts, and how many whole prompts, it was given to encode."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.texts = 0
        self.prompts = 0

    def __call__(self, texts: str | list[str], **options: Any) -> Any:
        self._count([texts] if isinstance(texts, str) else texts)
        return self._tokenizer(texts, **options)

    @property
    def backend_tokenizer(self) -> Any:
        return self

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        self._count(texts)
        return self._tokenizer.backend_tokenizer.encode_batch_fast(texts, **options)

    def _count(self, texts: list[str]) -> None:
        self.texts += len(texts)
        self.prompts += sum(text.startswith("<|im_start|>") and text.endswith("</think>\n\n") for text in texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer if hasattr(self._tokenizer, name) else self._tokenizer.backend_tokenizer, name)


def record(text: str, place: str = "rows.jsonl line 1", label: bool = True, instruction: str = INSTRUCTION) -> Example:
    return Example(None, None, label, place, text=own_text(text, instruction, SYSTEM))


def input_of(example: Example) -> str:
    return render(example, PromptSpec()).input


def ordinary(count: int) -> list[Example]:
    """Rows as `prepare` writes them, none quite like another."""
    films = [f"Film {number % 40} ({1950 + number % 70})" for number in range(count + 5)]
    ratings = [3.0, 0.5, 4.5, 5.0, 1.0]
    return [
        record(render_input(films[row : row + 4], ratings[row % 2 :][:4], films[row + 4]), label=row % 3 == 0)
        for row in range(count)
    ]


_ORDINARY_ROWS = ordinary(_ORDINARY)


def plain_ids(tokenizer: Any, template: PromptTemplate, asked: Example) -> list[int]:
    return list(tokenizer(template.pieces(asked).text(), add_special_tokens=False)["input_ids"])


def tokenize(tokenizer: Any, records: list[Example], cutoff_len: int = _NO_CUTOFF) -> TokenizedExamples:
    return tokenize_records(records, PromptTemplate(tokenizer), tokenizer, cutoff_len=cutoff_len, reporter=SILENT)


@pytest.fixture(params=["tiny", pytest.param("qwen", marks=pytest.mark.shared)])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_tokenizer")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tiny", "qwen"])
def test_every_real_example_is_plain_tokenizing(request: pytest.FixtureRequest, real_data: Path, name: str) -> None:
    tokenizer = CountingTokenizer(request.getfixturevalue(f"{name}_tokenizer"))
    rows = [
        asked
        for split in ("train.json", "test_raw.jsonl")
        for asked in read_records(real_data / "movielens_qwen3" / split)
    ]
    template = PromptTemplate(tokenizer)
    found = tokenize_records(rows, template, tokenizer, cutoff_len=_NO_CUTOFF, reporter=SILENT)
    # Only the proof encodes whole prompts; beyond it each piece is encoded once, not each of a row's 15 lines.
    assert tokenizer.prompts <= 256 < len(rows)
    distinct = {line for asked in rows for line in input_of(asked).split("\n")}
    assert tokenizer.texts < len(distinct) + 256 + 100
    texts = [template.pieces(asked).text() for asked in rows]
    for row, wanted in enumerate(tokenizer(texts, add_special_tokens=False)["input_ids"]):
        assert found.prompt(row).tolist() == wanted, rows[row].place


SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u2028", "\u3000", "\u200b"]
ODD = [".", ",", "!", "(", "'s", "'S", "a", "É", "e\u0301", "\u0301", "\u0338", "7", "42", "٣", "½", "²", "1. ", "2.  "]
ODD += ["<|im_end|>", "<think>", "🎬", "क्षि", "\u200d", "\ufe0f", "_", "\x00", "’t", "ſ", "İ"]
RAGGED_TEXTS = st.lists(st.sampled_from(SPACES + ODD) | st.characters(), max_size=14).map("".join)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(groups=st.lists(st.tuples(*[RAGGED_TEXTS] * 6), min_size=8, max_size=8))
def test_rows_of_any_shape_are_plain_tokenizing(tokenizer: Any, groups: list[tuple[str, ...]]) -> None:
    """Ragged texts among ordinary ones, where the proof does not look, as titles and as users' own inputs."""
    ragged = [asked for texts in groups for asked in _ragged(*texts)]
    rows = list(_ORDINARY_ROWS)
    for position, asked in enumerate(ragged):
        rows.insert(2 * position + 1, asked)
    template = PromptTemplate(tokenizer)
    found = tokenize(tokenizer, rows)
    for position, asked in enumerate(ragged):
        assert found.prompt(2 * position + 1).tolist() == plain_ids(tokenizer, template, asked)


def _ragged(head: str, one: str, two: str, three: str, tail: str, candidate: str) -> list[Example]:
    return [
        record(f"{head}\n1. {one}\n2. {two}\n3. {three}\n{tail}"),
        record(f"Rated films:\n1. {one}: 4\n2. {two}: 3\n{tail}\n{candidate}"),
        record(f"1. {one}\n2. {two}"),
        record(f"x{head}{tail}"),
        record(render_input([one, two, three], [4, 3, 0.5], candidate)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Rated:\n1. A\n2. B\n\nCandidate",
        "Rated:\n\n\n1. A\n2. B\nCandidate",
        "Rated:\n1. A\n2. B\n  \nCandidate",
        "Rated:\n1. A\n2. B\n\tCandidate",
        "Rated:\n1. A\r\n2. B\r\n\r\nCandidate",
        "Rated:\n1. A\n2. B\n\u3000\nCandidate",
        "Rated:\n1. A\n2. B\n\u2028Candidate",
        "Rated:\n1. A\n2.  B\n3.   \nCandidate: !\n\n\nNow",
        "Rated:\n1. A\n2. B\n\u0301Candidate",
        "Rated:\n1. A!\n2. 'B\nCandidate!\n!",
        "1. A\n2. B",
    ],
)
def test_whitespace_around_a_cut_is_plain_tokenizing(tokenizer: Any, text: str) -> None:
    rows = list(_ORDINARY_ROWS)
    rows.insert(1, record(text))
    assert tokenize(tokenizer, rows).prompt(1).tolist() == plain_ids(tokenizer, PromptTemplate(tokenizer), record(text))


def test_rows_keep_their_order_labels_and_offsets_over_chunks(tiny_tokenizer: Any) -> None:
    rows = ordinary(5000)  # more than one chunk of 4,096
    template = PromptTemplate(tiny_tokenizer)
    found = tokenize(tiny_tokenizer, rows)
    assert len(found) == 5000
    assert found.labels.tolist() == [asked.label for asked in rows]
    assert found.offsets[0] == 0
    assert found.offsets[-1] == len(found.ids)
    assert (found.ids.dtype, found.offsets.dtype) == (np.uint32, np.int64)
    assert found.lengths.tolist() == np.diff(found.offsets).tolist()
    assert found.rows_cut == 0
    assert found.answer_ids == (template.yes_id, template.no_id, template.end_id)
    for row in (0, 4095, 4096, 4999):
        assert found.prompt(row).tolist() == plain_ids(tiny_tokenizer, template, rows[row])


def test_no_records_is_an_error(tiny_tokenizer: Any) -> None:
    with pytest.raises(DataError, match="records holds no records"):
        tokenize(tiny_tokenizer, [])


@pytest.fixture(scope="module")
def merging_tokenizer(tiny_tokenizer: Any) -> Any:
    """A byte-level BPE without a pre-tokenizer, trained on the very prompts: it merges across spaces and newlines."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([input_of(asked) for asked in ordinary(60)] + ["Yes", "No"] * 500, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", chat_template=tiny_tokenizer.chat_template
    )


@pytest.mark.shared
def test_a_tokenizer_that_splits_whitespace_otherwise_gets_plain_tokenizing(qwen_tokenizer: Any) -> None:
    """GPT-2's pattern leaves the last of several whitespace characters to what follows; no ordinary row has several,
    so a sample of them would not show it."""
    import copy

    from tokenizers import Regex, pre_tokenizers

    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    tokenizer = copy.deepcopy(qwen_tokenizer)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(gpt2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    rows = list(_ORDINARY_ROWS)
    rows.insert(1, record("Rated films:\n1. A \n2. B \n\n\nCandidate film: C\nLike?"))
    assert tokenize(tokenizer, rows).prompt(1).tolist() == plain_ids(tokenizer, PromptTemplate(tokenizer), rows[1])


def test_pieces_are_forgotten_when_they_are_many(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ordinary(5000)
    wanted = tokenize(tiny_tokenizer, rows).ids
    monkeypatch.setattr(tokens, "_MOST_PIECES", 50)
    assert np.array_equal(tokenize(tiny_tokenizer, rows).ids, wanted)


def test_an_error_of_the_tokenizer_comes_through(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, texts: list[str], **options: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(CountingTokenizer, "encode_batch_fast", broken)
    with pytest.raises(ZeroDivisionError):
        tokenize_records(
            _ORDINARY_ROWS,
            PromptTemplate(tiny_tokenizer),
            CountingTokenizer(tiny_tokenizer),
            cutoff_len=_NO_CUTOFF,
            reporter=SILENT,
        )


def test_a_tokenizer_that_merges_across_cuts_gets_plain_tokenizing(merging_tokenizer: Any) -> None:
    rows = ordinary(300)
    template = PromptTemplate(merging_tokenizer)
    assert any(" " in token.strip() for token in merging_tokenizer.batch_decode([[i] for i in range(900)]))
    counting = CountingTokenizer(merging_tokenizer)
    found = tokenize_records(rows, template, counting, cutoff_len=_NO_CUTOFF, reporter=SILENT)
    for row, asked in enumerate(rows):
        assert found.prompt(row).tolist() == plain_ids(merging_tokenizer, template, asked)
    assert counting.prompts > len(rows)
    # Joining really would have been wrong, so the guard was needed.
    line, following = "1. Film 1 (1951): 3\n", "2. Film 2 (1952): 0.5\n"
    assert _encode(merging_tokenizer, line) + _encode(merging_tokenizer, following) != _encode(
        merging_tokenizer, line + following
    )


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(params=["tiny", "merging", pytest.param("qwen", marks=pytest.mark.shared)])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_tokenizer")


def test_the_cutoff_takes_whole_oldest_lines_and_no_more_than_it_must(any_tokenizer: Any) -> None:
    rows = [
        record(render_input([f"Film {row}.{film} (1999)" for film in range(row + 1)], None, "Ran"), f"line {row}")
        for row in range(9)
    ]
    template = PromptTemplate(any_tokenizer)
    whole = tokenize(any_tokenizer, rows)
    cutoff = int(whole.lengths[4]) + ANSWER_TOKENS  # row 4 just fits
    found = tokenize(any_tokenizer, rows, cutoff)
    assert found.dropped_lines[:5].tolist() == [0] * 5
    assert (found.dropped_lines[5:] > 0).all()
    assert found.rows_cut == 4
    assert (found.lengths + ANSWER_TOKENS <= cutoff).all()
    assert found.labels.tolist() == whole.labels.tolist()
    for row, asked in enumerate(rows):
        dropped = int(found.dropped_lines[row])
        films = [f"{number}. Film {row}.{number - 1} (1999)\n" for number in range(dropped + 1, row + 2)]
        text = any_tokenizer.decode(found.prompt(row))
        assert f"Rated films:\n{''.join(films)}Candidate film: Ran\n" in text
        assert text.startswith(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{INSTRUCTION}\n")
        assert text.endswith("Answer Yes or No.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
        assert found.prompt(row).tolist() == _encode(any_tokenizer, template.pieces(asked).without(dropped).text())
        if dropped:  # with one line more it would not have fitted
            longer = _encode(any_tokenizer, template.pieces(asked).without(dropped - 1).text())
            assert len(longer) + ANSWER_TOKENS > cutoff


def test_a_row_may_lose_all_its_history_but_nothing_else(any_tokenizer: Any) -> None:
    asked = record(render_input(["A long title of many words indeed"] * 5, None, "Ran"))
    bare = record(render_input([], None, "Ran"))
    needed = len(tokenize(any_tokenizer, [bare]).ids) + ANSWER_TOKENS
    found = tokenize(any_tokenizer, [asked], needed)
    assert found.dropped_lines.tolist() == [5]
    assert found.ids.tolist() == tokenize(any_tokenizer, [bare]).ids.tolist()

    with pytest.raises(DataError) as caught:
        tokenize(any_tokenizer, [*ordinary(3), record(input_of(asked), "rows.jsonl line 4")][3:], needed - 1)
    assert caught.value.message == (
        f"rows.jsonl line 4 needs {needed} tokens even without history, more than `cutoff_len: {needed - 1}`"
    )
    advised = int(caught.value.next_step.removeprefix("--set cutoff_len="))
    assert advised % 64 == 0
    assert advised - 64 < needed <= advised


def test_the_cutoff_never_takes_lines_of_the_instruction(tiny_tokenizer: Any) -> None:
    rules = "\n".join(f"{number}. Rule {number}" for number in range(1, 30))
    asked = record(render_input(["Heat", "Up"], None, "Ran"), "line 1", instruction=rules)
    needed = len(tokenize(tiny_tokenizer, [asked]).ids) + ANSWER_TOKENS
    found = tokenize(tiny_tokenizer, [asked], needed - 1)
    assert found.dropped_lines.tolist() == [1]
    assert f"{rules}\nRated films:\n2. Up\n" in tiny_tokenizer.decode(found.prompt(0))
    with pytest.raises(DataError, match="even without history"):
        tokenize(tiny_tokenizer, [record("", "line 1", instruction=rules)], 64)


def test_a_long_history_is_cut_in_few_looks(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 lines: one look a line would take minutes for a file of such rows."""
    looks: list[int] = []

    def counted(pieces: Any) -> list[str]:
        if len(pieces.history) > 1000:  # the proof looks at short ones
            looks.append(len(pieces.history))
        return cuts(pieces)

    cuts = tokens._cuts
    monkeypatch.setattr(tokens, "_cuts", counted)
    asked = record(render_input([f"Film {film}" for film in range(4000)], None, "Ran"), "line 1")
    found = tokenize(tiny_tokenizer, [asked], 400)
    assert len(looks) <= 16
    assert 398 - 20 < len(found.ids) <= 398
    assert f"Rated films:\n{found.dropped_lines[0] + 1}. Film" in tiny_tokenizer.decode(found.prompt(0))


def test_more_lines_may_go_than_16_bits_can_count(tiny_tokenizer: Any) -> None:
    lines = "".join(f"{number}. A\n" for number in range(1, 70_001))
    found = tokenize(tiny_tokenizer, [record(f"Rated films:\n{lines}Candidate film: Ran")], 400)
    dropped = int(found.dropped_lines[0])
    assert 65_536 < dropped < 70_000
    assert f"Rated films:\n{dropped + 1}. A\n" in tiny_tokenizer.decode(found.prompt(0))
    assert (found.lengths + ANSWER_TOKENS <= 400).all()


def test_a_row_without_history_that_does_not_fit_is_named(tiny_tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl line 9 needs \d+ tokens even without history"):
        tokenize(tiny_tokenizer, [record("words " * 100, "rows.jsonl line 9")], 64)


class Ears:
    """A reporter that remembers what was reported."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.phase = SILENT.phase

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _with_cut_rows(cut: int, of: int) -> TokenizedExamples:
    dropped = np.zeros(of, dtype=np.uint32)
    dropped[:cut] = 3
    return TokenizedExamples(
        np.zeros(of, dtype=np.uint32), np.arange(of + 1), np.zeros(of, dtype=np.int8), dropped, (1, 2, 3)
    )


def check(cut: int, **keys: Any) -> list[str]:
    from movielora.training.examples import check_truncation

    ears = Ears()
    check_truncation(_with_cut_rows(cut, 1000), Path("train.json"), Config(cutoff_len=64, **keys), ears)
    return ears.warnings


def test_rows_cut_are_counted_and_shown_up_to_a_fifth() -> None:
    assert check(0) == []
    assert check(1) == ["1 of 1,000 examples of train.json (0.1%) lost history to `cutoff_len: 64`"]
    assert check(200) == ["200 of 1,000 examples of train.json (20.0%) lost history to `cutoff_len: 64`"]


def test_more_than_a_fifth_cut_stops_the_training_unless_allowed() -> None:
    with pytest.raises(DataError) as caught:
        check(201)
    assert caught.value.message.startswith("201 of 1,000 examples of train.json (20.1%) lost history")
    assert "allow_truncation=true" in caught.value.next_step
    assert len(check(201, allow_truncation=True)) == 1
    assert len(check(1000, allow_truncation=True)) == 1


def test_load_tokenizer_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(ModelError, match="neither a folder nor a Hugging Face name"):
        load_tokenizer(str(tmp_path / "none"))
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(ModelError):
        load_tokenizer(str(tmp_path))


def test_load_tokenizer_runs_no_code_that_comes_with_a_folder(tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    for file in tiny_base.glob("*token*"):
        shutil.copy(file, folder)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    settings_file = folder / "tokenizer_config.json"
    written = json.loads(settings_file.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    settings_file.write_text(json.dumps(written))
    with contextlib.suppress(ModelError):
        load_tokenizer(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_title_with_the_mark_of_a_cut_or_with_full_stops_is_plain_tokenizing(any_tokenizer: Any) -> None:
    titles = ["Mr. 3000. 2", "St.  Elmo.", "A\0B. C", ". . .", "E.T. the Extra-Terrestrial (1982)"]
    rows = list(_ORDINARY_ROWS)
    for place, title in enumerate(titles):
        rows.insert(2 * place + 1, record(f"Rated films:\n1. {title}: 4\n2. {title}\nCandidate film: {title}\nLike?"))
    template, found = PromptTemplate(any_tokenizer), tokenize(any_tokenizer, rows)
    for row in range(2 * len(titles)):
        assert found.prompt(row).tolist() == plain_ids(any_tokenizer, template, rows[row])
