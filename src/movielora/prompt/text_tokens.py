"""Examples that are listed one by one become token ids: fast, bounded in memory, and exact.

The texts of a dataset are made of few distinct pieces: the fixed parts of the template, the numbers of the history
lines, the titles and the ratings. Every piece is tokenized once and the ids are joined. That is exact only if
the tokenizer never merges across a cut. Qwen's pre-tokenizer starts a new word at a space that follows a non-space,
and after a newline unless more whitespace follows (the run is one word), so the cuts are there and nowhere
else. Other tokenizers may differ: a sample of the records, and histories made to be difficult, are compared with plain
tokenizing first, and a tokenizer that fails gets plain tokenizing throughout.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.example_set import label_array, offsets_of
from movielora.machine.garbage_collector import collector_paused
from movielora.progress import Reporter
from movielora.prompt.template import PromptPieces, PromptTemplate
from movielora.prompt.token_sets import ANSWER_TOKENS, TokenizedExamples, concatenate, too_long

# Records tokenized at once, while as many are read; ids are kept as 32-bit arrays, about 2 kB an example instead of
# 16 kB of Python ints.
_CHUNK = 4096
# Records whose joined ids are compared with plain tokenizing before joining is trusted, and histories with whitespace
# and signs where tokenizers differ, which no record of the sample may have.
_PROOF_SAMPLE = 256
_PROOF_LINES = ("1. A\n", "2. B \n", "3.  C: 4\n", "4. D!\n", "5. \n", "6. 's. 'S.  7\n", "10. E. f\t\n")
_PROOF_ENDS = ("Next: F\nG?", "\n\nNext: F \n\n G", "  \nNext", "\tNext\n \n", "!\nNext\n1. H")
# Pieces remembered at most: a file whose texts do not recur must not fill the memory.
_MOST_PIECES = 1 << 17
# A longer text behind the history is no question that recurs, and is not remembered.
_RECURS = 2000
_LINE_CUT = re.compile(r"(?<=\n)(?=\S)")
# Stands where a history is cut; a text that holds it is not cut there.
_CUT = "\0"


def tokenize_records(
    records: Iterable[Example],
    template: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    reporter: Reporter,
    name: str = "records",
) -> TokenizedExamples:
    """Prompts of `records` as ids, each shortened to fit `cutoff_len` tokens with its answer.

    Raises DataError naming a record that does not fit even without history.
    """
    return concatenate(
        tokenize_parts(records, template, tokenizer, cutoff_len=cutoff_len, reporter=reporter, name=name)
    )


def tokenize_parts(
    records: Iterable[Example],
    template: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    reporter: Reporter,
    name: str,
) -> list[TokenizedExamples]:
    """What `tokenize_records` joins, in the parts in which it was read: a file can be written from them."""
    parts: list[TokenizedExamples] = []
    chunks = _cut_chunks(records, template)
    with (
        collector_paused(),
        _Joiner(tokenizer) as joiner,
        reporter.phase(f"Tokenizing {name}", unit="examples") as phase,
    ):
        chunk = next(chunks, None)
        while chunk is not None:
            joiner.learn(chunk.cuts)
            following = next(chunks, None)  # read and cut while the tokenizer is at work on its own thread
            parts.append(_tokenize_chunk(chunk, joiner, cutoff_len - ANSWER_TOKENS, template))
            phase.advance(len(chunk.records))
            chunk = following
    if not parts:
        raise DataError(f"{name} holds no records", "movielora prepare --help shows how to make a dataset")
    return parts


@dataclass(frozen=True)
class _Chunk:
    """Some records, their prompts, and each prompt in the pieces that recur."""

    records: list[Example]
    prompts: list[PromptPieces]
    cuts: list[list[str]]


def _cut_chunks(records: Iterable[Example], template: PromptTemplate) -> Iterator[_Chunk]:
    stream = iter(records)
    while chunk := list(islice(stream, _CHUNK)):
        prompts = [template.pieces(record) for record in chunk]
        yield _Chunk(chunk, prompts, [_cuts(prompt) for prompt in prompts])


def _tokenize_chunk(chunk: _Chunk, joiner: _Joiner, room: int, template: PromptTemplate) -> TokenizedExamples:
    ids, offsets = joiner.encode(chunk.cuts, chunk.prompts)
    dropped = np.zeros(len(chunk.records), dtype=np.uint32)
    lengths = np.diff(offsets)
    if (lengths > room).any():
        rows = [ids[offsets[row] : offsets[row + 1]] for row in range(len(lengths))]
        for row in np.flatnonzero(lengths > room).tolist():
            rows[row], dropped[row] = _shorten(chunk.prompts[row], chunk.records[row], joiner, room)
        ids, offsets = np.concatenate(rows), offsets_of([len(row) for row in rows])
    labels = label_array(record.label for record in chunk.records)
    return TokenizedExamples(ids, offsets, labels, dropped, template.answer_ids)


def _shorten(prompt: PromptPieces, record: Example, joiner: _Joiner, room: int) -> tuple[NDArray[np.uint32], int]:
    """The prompt without as many of its oldest history lines as must go, and how many those are."""

    def without(lines: int) -> NDArray[np.uint32]:
        shorter = prompt.without(lines)
        cuts = [_cuts(shorter)]
        joiner.learn(cuts)
        return joiner.encode(cuts, [shorter])[0]

    every = len(prompt.lines())
    needed = len(without(every))
    if needed > room:
        raise too_long(record.place, needed, room)
    # Bisected: a prompt grows shorter with each line that goes.
    dropped = bisect_left(range(every), -room, key=lambda lines: -len(without(lines)))
    return without(dropped), dropped


def _cuts(prompt: PromptPieces) -> list[str]:
    """The prompt in pieces that recur; joined they are its text."""
    cuts = [prompt.before, *_history_cuts(prompt.history)]
    candidate, newline, rest = prompt.after.partition("\n")
    if rest[:1].isspace():  # the newline and what follows are one word
        candidate, newline, rest = prompt.after, "", ""
    if cuts[-1].endswith("\n") and not prompt.after[:1].isspace():
        cuts.append(candidate + newline)
    else:
        cuts[-1] += candidate + newline
    cuts += _line_cuts(rest)
    return cuts


def _history_cuts(history: str) -> list[str]:
    """`3. Heat (1995): 4.5` as `3.` and ` Heat (1995): 4.5`: every line starts with a digit, and a space that follows
    a full stop starts a word. Two replacements and a split take half the time of a regular expression.

    A third cut, before the rating, would halve the distinct pieces; what it costs a line is more than that saves.
    """
    if not history:
        return []
    if _CUT in history:
        return [history]
    cuts = history.replace("\n", "\n" + _CUT).replace(". ", "." + _CUT + " ").split(_CUT)
    if not cuts[-1]:  # behind the last newline
        cuts.pop()
    return cuts


def _line_cuts(text: str) -> tuple[str, ...]:
    return _short_line_cuts(text) if len(text) <= _RECURS else tuple(_LINE_CUT.split(text))


@lru_cache(maxsize=1024)  # the question and the template's end
def _short_line_cuts(text: str) -> tuple[str, ...]:
    return tuple(_LINE_CUT.split(text)) if text else ()


class _Joiner:
    """Ids of prompts given in pieces. Each distinct piece is tokenized once, as long as a sample proves that exact.

    `learn`, then `encode`, the same cuts; the tokenizer runs on a thread between the two.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        # As every call of the tokenizer itself does; a folder's own settings would cut the pieces.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._joins: bool | None = None  # not yet known
        # The ids of each piece as bytes: 32-bit numbers, which one call joins to a prompt.
        self._known: dict[str, bytes] = {}
        self._thread = ThreadPoolExecutor(1)
        self._learnt: Future[dict[str, bytes]] | None = None

    def __enter__(self) -> _Joiner:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown()

    def learn(self, cuts: Sequence[list[str]]) -> None:
        """Begin to tokenize the pieces of `cuts` that are new."""
        if self._joins is False:
            return
        if len(self._known) > _MOST_PIECES:
            self._known = {}
        self._learnt = self._thread.submit(self._tokenize_pieces, self._new_pieces(cuts))

    def _new_pieces(self, cuts: Sequence[list[str]]) -> list[str]:
        return sorted(set().union(*cuts).difference(self._known))

    def encode(
        self, cuts: Sequence[list[str]], prompts: Sequence[PromptPieces]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """`cuts[i]` are the pieces of `prompts[i]`; returns all ids end to end and their offsets (n + 1)."""
        if self._learnt is not None:
            self._known |= self._learnt.result()
            self._learnt = None
        if self._joins is None:
            every = -(-len(cuts) // _PROOF_SAMPLE)
            self._joins = self._agrees(cuts[::every], prompts[::every]) and self._agrees_where_it_is_hard()
        rows = self._join(cuts) if self._joins else self._plain(prompts)
        ids = np.frombuffer(b"".join(rows), dtype=np.uint32)
        return ids, offsets_of([len(row) // ids.itemsize for row in rows])

    def _agrees(self, cuts: Sequence[list[str]], prompts: Sequence[PromptPieces]) -> bool:
        return self._join(cuts) == self._plain(prompts)

    def _agrees_where_it_is_hard(self) -> bool:
        """Every end behind every two lines after one another."""
        pairs = ["".join(pair) for pair in product(_PROOF_LINES, repeat=2)]
        prompts = [PromptPieces("Rated:\n", history, end) for history, end in product(pairs, _PROOF_ENDS)]
        cuts = [_cuts(prompt) for prompt in prompts]
        self._known |= self._tokenize_pieces(self._new_pieces(cuts))
        return self._agrees(cuts, prompts)

    def _join(self, cuts: Sequence[list[str]]) -> list[bytes]:
        ids_of = self._known.__getitem__
        return [b"".join(map(ids_of, pieces)) for pieces in cuts]

    def _tokenize_pieces(self, pieces: list[str]) -> dict[str, bytes]:
        encodings = self._backend.encode_batch_fast(pieces, add_special_tokens=False)
        return {piece: _to_bytes(encoding.ids) for piece, encoding in zip(pieces, encodings, strict=True)}

    def _plain(self, prompts: Sequence[PromptPieces]) -> list[bytes]:
        """The tokenizer's own call on whole texts: what joined pieces must equal."""
        texts = [prompt.text() for prompt in prompts]
        encoded = self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return [_to_bytes(ids) for ids in encoded]


def _to_bytes(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype=np.uint32).tobytes()
