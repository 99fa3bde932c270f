"""Records become token ids: fast, bounded in memory, and exact.

The texts of a dataset are made of few distinct pieces: the fixed parts of the template, the numbers of the history
lines, the titles and the ratings. Every piece is tokenized once and the ids are joined. That is exact only where
the tokenizer never merges across a cut. Qwen's pre-tokenizer starts a new word at a space that follows a non-space,
and after a newline unless more whitespace follows (the run is one word), so the cuts are there and nowhere
else. Other tokenizers may differ: a sample is compared with plain tokenizing first, and a tokenizer that fails it
gets plain tokenizing throughout.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.data.collector import collector_paused
from movielora.data.prompt import PromptPieces, PromptTemplate
from movielora.data.records import Record
from movielora.errors import DataError
from movielora.progress import Reporter

# Records held as text at once; ids are kept as 32-bit arrays, about 2 kB an example instead of 16 kB of Python ints.
_CHUNK = 4096
# Records whose joined ids are compared with plain tokenizing before joining is trusted.
_PROOF_SAMPLE = 256
# Pieces remembered at most: a file whose texts do not recur must not fill the memory.
_MOST_PIECES = 1 << 17
_LINE_CUT = re.compile(r"(?<=\n)(?!\s)")
# A history line `3. Heat (1995): 4.5` as `3.`, ` Heat (1995):` and ` 4.5`: cut before a space that follows a non-space.
_HISTORY_PIECES = re.compile(r"\d+\.(?= )| .*\n?")
# `Yes<|im_end|>`
ANSWER_TOKENS = 2


@dataclass(frozen=True)
class TokenizedExamples:
    """Prompts as token ids, end to end, and their answers.

    `ids` (uint32) holds all prompts; prompt i is `ids[offsets[i]:offsets[i + 1]]` (offsets: int64, n + 1). `labels`
    (bool, n) are the true answers, `dropped_lines` (uint16, n) the history lines each row lost to the cutoff.
    `answer_ids` are the token ids of Yes, No and the end of the turn.
    """

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.bool_]
    dropped_lines: NDArray[np.uint16]
    answer_ids: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each prompt, answer not counted."""
        return np.diff(self.offsets)

    @property
    def rows_cut(self) -> int:
        return int(np.count_nonzero(self.dropped_lines))

    def prompt(self, row: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


def tokenize_records(
    records: Iterable[Record],
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
    joiner = _Joiner(tokenizer)
    parts: list[TokenizedExamples] = []
    stream = iter(records)
    with collector_paused(), reporter.phase(f"Tokenizing {name}", unit="examples") as phase:
        while chunk := list(islice(stream, _CHUNK)):
            parts.append(_tokenize_chunk(chunk, template, joiner, cutoff_len - ANSWER_TOKENS))
            phase.advance(len(chunk))
    if not parts:
        raise DataError(f"{name} holds no records", "movielora prepare --help shows how to make a dataset")
    return _concatenate(parts)


def _tokenize_chunk(chunk: Sequence[Record], template: PromptTemplate, joiner: _Joiner, room: int) -> TokenizedExamples:
    pieces = [template.pieces(record) for record in chunk]
    ids, offsets = joiner.encode([_cuts(one) for one in pieces], [one.text() for one in pieces])
    dropped = np.zeros(len(chunk), dtype=np.uint16)
    lengths = np.diff(offsets)
    if (lengths > room).any():
        rows = [ids[offsets[row] : offsets[row + 1]] for row in range(len(chunk))]
        for row in np.flatnonzero(lengths > room).tolist():
            rows[row], dropped[row] = _shorten(pieces[row], chunk[row], joiner, room)
        ids, offsets = np.concatenate(rows), _offsets([len(row) for row in rows])
    labels = np.array([record.label for record in chunk], dtype=np.bool_)
    return TokenizedExamples(ids, offsets, labels, dropped, (template.yes_id, template.no_id, template.end_id))


def _shorten(pieces: PromptPieces, record: Record, joiner: _Joiner, room: int) -> tuple[NDArray[np.uint32], int]:
    """The prompt without as many of its oldest history lines as must go, and how many those are."""

    def without(lines: int) -> NDArray[np.uint32]:
        shorter = pieces.without(lines)
        return joiner.encode([_cuts(shorter)], [shorter.text()])[0]

    every = len(pieces.lines())
    needed = len(without(every))
    if needed > room:
        needed += ANSWER_TOKENS
        raise DataError(
            f"{record.place} needs {needed:,} tokens even without history, "
            f"more than `cutoff_len: {room + ANSWER_TOKENS}`",
            f"--set cutoff_len={-(-needed // 64) * 64}",
        )
    # Bisected: a prompt grows shorter with each line that goes.
    dropped = bisect_left(range(every), -room, key=lambda lines: -len(without(lines)))
    return without(dropped), dropped


def _cuts(pieces: PromptPieces) -> list[str]:
    """The prompt in pieces that recur; joined they are its text."""
    cuts = [pieces.before, *_HISTORY_PIECES.findall(pieces.history)]
    candidate, newline, rest = pieces.after.partition("\n")
    if rest[:1].isspace():  # the newline and what follows are one word
        candidate, newline, rest = pieces.after, "", ""
    if cuts[-1].endswith("\n") and not pieces.after[:1].isspace():
        cuts.append(candidate + newline)
    else:
        cuts[-1] += candidate + newline
    cuts += _line_cuts(rest)
    return cuts


@lru_cache(maxsize=1024)  # the question and the template's end
def _line_cuts(text: str) -> tuple[str, ...]:
    return tuple(_LINE_CUT.split(text)) if text else ()


class _Joiner:
    """Ids of texts given in pieces. Each distinct piece is tokenized once, as long as a sample proves that exact."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._joins: bool | None = None  # not yet known
        # The ids of each piece as bytes: 32-bit numbers, joined by one call a prompt.
        self._known: dict[str, bytes] = {}

    def encode(self, cut: Sequence[list[str]], whole: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """`cut[i]` are the pieces of text `whole[i]`; returns all ids end to end and their offsets (n + 1)."""
        if self._joins is None:
            every = -(-len(cut) // _PROOF_SAMPLE)
            self._joins = self._joined(cut[::every]) == self._plain(whole[::every])
        prompts = self._joined(cut) if self._joins else self._plain(whole)
        ids = np.frombuffer(b"".join(prompts), dtype=np.uint32)
        return ids, _offsets([len(prompt) // ids.itemsize for prompt in prompts])

    def _joined(self, cut: Sequence[list[str]]) -> list[bytes]:
        if len(self._known) > _MOST_PIECES:
            self._known = {}
        new = sorted(set().union(*cut).difference(self._known))
        self._known.update(zip(new, self._plain(new), strict=True))
        ids_of = self._known.__getitem__
        return [b"".join(map(ids_of, pieces)) for pieces in cut]

    def _plain(self, texts: Sequence[str]) -> list[bytes]:
        if not texts:
            return []
        encodings = self._tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return [np.asarray(ids, dtype=np.uint32).tobytes() for ids in encodings]


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _concatenate(parts: Sequence[TokenizedExamples]) -> TokenizedExamples:
    return TokenizedExamples(
        np.concatenate([part.ids for part in parts]),
        _offsets(np.concatenate([part.lengths for part in parts])),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.dropped_lines for part in parts]),
        parts[0].answer_ids,
    )
