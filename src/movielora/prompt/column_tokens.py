"""Token ids of a prepared dataset, joined from pieces when a batch asks for them.

Each distinct piece (`column_pieces.py`) is tokenized once. The length of a prompt is a sum of piece lengths, and its
ids are joined in numpy for the rows of a batch: 29 million examples need no token to be stored.

Joining is exact only if the tokenizer never merges across a cut. Qwen's pre-tokenizer starts a new word at a space
that follows a non-space, after a newline, and between a letter or digit and a sign that follows; the cuts are there. A
sample of the examples, and titles made to be difficult, are compared with plain tokenizing first; a tokenizer that
fails gets plain tokenizing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example import Example, Film
from movielora.examples.example_set import Labels, Rows, offsets_of
from movielora.examples.timeline_examples import TimelineExamples
from movielora.progress import Reporter
from movielora.prompt.column_pieces import ColumnPieces, PromptLengths, cut_title
from movielora.prompt.render import fixed_text, rating_text
from movielora.prompt.template import PromptTemplate
from movielora.prompt.token_sets import ANSWER_TOKENS, Ids, Offsets, gather, too_long
from movielora.sources.titles import shown_title

# Examples whose joined ids are compared with plain tokenizing before joining is trusted, and titles that start and end
# as tokenizers differ, which no title of the sample may do.
_PROOF_SAMPLE = 256
_PROOF_TITLES = ("A", "B! (1999)", "'s C", "'S. 7", ".", "D's", "7", "É ²", "(E) F:", "10. G", "!", "_H_", "\u0301x")


@dataclass(frozen=True)
class PieceIds:
    """Distinct pieces as ids: piece i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: Ids
    offsets: Offsets

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Any) -> PieceIds:
        backend = tokenizer.backend_tokenizer
        # As every call of the tokenizer itself does; a folder's own settings would cut the pieces.
        backend.no_truncation()
        backend.no_padding()
        encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return cls(*_flat([encoding.ids for encoding in encodings]))

    @classmethod
    def of_parts(cls, pieces: ColumnPieces, tokenizer: Any) -> PieceIds:
        """The ids of every piece, from those of its parts."""
        return cls(*cls.of(pieces.parts, tokenizer).join(pieces.made_of))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def join(self, chosen: NDArray[np.integer]) -> tuple[Ids, Offsets]:
        """`chosen` (prompts, pieces) are piece numbers; the ids of each prompt end to end, and the prompts' offsets."""
        lengths = self.lengths[chosen]
        ids, offsets = gather(self.ids, self.offsets[:-1][chosen].ravel(), lengths.ravel())
        return ids, offsets[:: chosen.shape[1]]


@dataclass(frozen=True)
class ColumnTokens:
    """`PromptTokens` of a prepared dataset, ids joined when asked for; `lengths` and `dropped_lines` are (rows,)."""

    pieces: ColumnPieces
    piece_ids: PieceIds
    lengths: NDArray[np.int32]
    dropped_lines: NDArray[np.uint32]
    answer_ids: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def labels(self) -> Labels:
        return self.pieces.examples.labels

    @property
    def rows_cut(self) -> int:
        """How many rows lost history to the cutoff."""
        return int(np.count_nonzero(self.dropped_lines))

    def are_of_dataset(self, examples: TimelineExamples) -> bool:
        """Whether `examples` are of the same dataset and history length, so that their prompts have these pieces."""
        own = self.pieces.examples
        return own.timelines is examples.timelines and own.history_len == examples.history_len

    def prompt(self, row: int) -> Ids:
        """The ids of one prompt."""
        return self.prompts(np.array([row], dtype=np.int64))[0]

    def prompts(self, rows: Rows) -> tuple[Ids, Offsets]:
        """The ids of `rows` end to end in their order, and the offset of each (rows + 1,)."""
        return self.piece_ids.join(self.pieces.of_rows(rows, self.dropped_lines[rows]))


def tokenize_columns(
    examples: TimelineExamples,
    template: PromptTemplate,
    tokenizer: Any,
    *,
    cutoff_len: int,
    reporter: Reporter,
    like: ColumnTokens | None = None,
) -> ColumnTokens | None:
    """The prompts of `examples`, each shortened to fit `cutoff_len` tokens with its answer.

    `like`: prompts of the same dataset and template, whose pieces are these examples' too; joining is proven for them.

    None if this tokenizer merges across pieces: its prompts have to be tokenized whole. Raises DataError naming an
    example that does not fit even without history.
    """
    with reporter.phase(f"Tokenizing {examples.name}", unit="examples") as phase:
        if like is not None:
            pieces, piece_ids = replace(like.pieces, examples=examples), like.piece_ids
        else:
            opening, closing = _opening_and_closing(template)
            pieces = ColumnPieces.of(examples, template.spec, opening, closing, template.clean)
            piece_ids = PieceIds.of_parts(pieces, tokenizer)
            if not (_joins(pieces, piece_ids, template, tokenizer) and _joins_difficult_titles(template, tokenizer)):
                return None
        lengths, dropped = _fit(pieces, piece_ids, cutoff_len - ANSWER_TOKENS)
        phase.advance(len(examples))
    return ColumnTokens(pieces, piece_ids, lengths, dropped, template.answer_ids)


def _opening_and_closing(template: PromptTemplate) -> tuple[str, str]:
    """What stands before the first line and after the candidate's line in every prompt of this spec."""
    pieces = template.rendered_pieces(fixed_text(template.spec))
    return pieces.before, pieces.after


def _fit(pieces: ColumnPieces, piece_ids: PieceIds, room: int) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Tokens of each prompt, and how many of its oldest lines must go for it to have at most `room`: (rows,) each.

    Raises DataError for the first prompt that has more even without any line.
    """
    of = PromptLengths(pieces, piece_ids.lengths)
    lengths = of.all()
    dropped = np.zeros(len(lengths), dtype=np.uint32)
    over = np.flatnonzero(lengths > room)
    counts = pieces.examples.history_counts(over)
    less = 0
    while len(over):
        less += 1
        if (counts < less).any():
            row = int(over[counts < less][0])
            raise too_long(pieces.examples[row].place, int(lengths[row]), room)
        lengths[over], dropped[over] = of.without(over, less), less
        still = lengths[over] > room
        over, counts = over[still], counts[still]
    return lengths, dropped


def _joins(pieces: ColumnPieces, piece_ids: PieceIds, template: PromptTemplate, tokenizer: Any) -> bool:
    """Whether joined ids are those of plain tokenizing, for examples spread over all."""
    examples = pieces.examples
    rows = np.unique(np.linspace(0, len(examples) - 1, min(_PROOF_SAMPLE, len(examples))).astype(np.int64))
    joined = piece_ids.join(pieces.of_rows(rows, np.zeros(len(rows), dtype=np.int64)))
    return _is_plain(joined, [template.pieces(examples[row]).text() for row in rows.tolist()], tokenizer)


def _joins_difficult_titles(template: PromptTemplate, tokenizer: Any) -> bool:
    """Every difficult title after every other, with and without a rating."""
    opening, closing = _opening_and_closing(template)
    texts: list[str] = []
    rows: list[list[str]] = []
    for (one, two), rating in product(product(_PROOF_TITLES, repeat=2), (None, 4.5)):
        films = (Film(one, rating), Film(two, rating))
        texts.append(template.unlimited_pieces(Example(films, two, None, "")).text())
        (first, first_end), (second, second_end) = (
            cut_title(template.clean(f" {shown_title(title, template.spec.titles)}")) for title in (one, two)
        )
        stars, head = f"{rating_text(rating)}\n", template.spec.wording.candidate_head.removesuffix(" ")
        shown = ["1.", first, first_end + stars, "2.", second, second_end + stars]
        rows.append([opening, *shown, head, second, f"{second_end}\n", closing])
    distinct = sorted({text for row in rows for text in row})
    place = {text: number for number, text in enumerate(distinct)}
    joined = PieceIds.of(distinct, tokenizer).join(np.array([[place[text] for text in row] for row in rows]))
    return _is_plain(joined, texts, tokenizer)


def _is_plain(joined: tuple[Ids, Offsets], texts: list[str], tokenizer: Any) -> bool:
    """Whether `joined` ids and offsets are those of the tokenizer's own call on whole texts."""
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    ids, offsets = _flat(encoded)
    return np.array_equal(joined[0], ids) and np.array_equal(joined[1], offsets)


def _flat(rows: Sequence[Sequence[int]]) -> tuple[Ids, Offsets]:
    """Lists of ids end to end, and where each starts."""
    offsets = offsets_of([len(ids) for ids in rows])
    return np.fromiter((token for ids in rows for token in ids), dtype=np.uint32, count=int(offsets[-1])), offsets
