"""The pieces that the prompts of a prepared dataset are made of, and which of them each prompt has.

A prompt is an opening (template, system text, instruction), for each film shown its number (`3.`) and its line
(` Heat (1995): 4.5`), the candidate's line, and a closing (question and template). Few of these are distinct, and a
prompt is a row of piece numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example_set import Rows, offsets_of
from movielora.examples.timeline_examples import TimelineExamples
from movielora.prompt.render import rating_text
from movielora.prompt.spec import PromptSpec
from movielora.prompt.token_sets import Offsets
from movielora.sources.titles import shown_title

EMPTY, OPENING, CLOSING, FIRST_NUMBER = 0, 1, 2, 3
# Rows worked on at once: bounds the memory beside the result.
_CHUNK = 1 << 20

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ColumnPieces:
    """Piece numbers count the empty piece, opening, closing, the numbers of lines from `FIRST_NUMBER`, the distinct
    films with their rating from `first_line`, and a candidate line for each film of the dataset from `first_candidate`.

    A piece is made of at most three parts, which are fewer still (a film has one title and many ratings): piece i is
    the parts `made_of[i]` end to end, part 0 being empty. `line_of` (ratings,) is the line of each position in the
    timelines, counted from `first_line`.
    """

    examples: TimelineExamples
    parts: list[str]
    made_of: NDArray[np.int32]  # (pieces, 3)
    first_line: int
    first_candidate: int
    line_of: NDArray[np.int32]

    @classmethod
    def of(
        cls, examples: TimelineExamples, spec: PromptSpec, opening: str, closing_text: str, clean: Callable[[str], str]
    ) -> ColumnPieces:
        """`clean` is applied to every text that comes from data."""
        parts = _Parts()
        titles = [cut_title(clean(f" {shown_title(title, spec.titles)}")) for title in examples.films.titles]
        numbers = [f"{number}." for number in range(1, examples.history_len + 1)]
        fixed = parts.numbers(["", opening, closing_text, *numbers])
        lines, line_of = _distinct_lines(examples, titles, parts)
        candidates = _candidates(titles, spec.wording.candidate_head, parts)
        made_of = np.concatenate([np.pad(fixed[:, None], ((0, 0), (0, 2))), lines, candidates])
        first_line = len(fixed)
        return cls(examples, parts.texts, made_of, first_line, first_line + len(lines), line_of)

    def of_rows(self, rows: Rows, dropped: NDArray[np.integer]) -> Integers:
        """(rows, 2 · longest history + 3): the pieces of each prompt in order, without its `dropped` oldest lines;
        `EMPTY` stands for what is not shown."""
        events, counts = self.examples.events[rows], self.examples.history_counts(rows)
        line = np.arange(int(counts.max(initial=0)))
        shown = (line < counts[:, None]) & (line >= dropped[:, None])
        positions = np.where(shown, events[:, None] - counts[:, None] + line, 0)
        found = np.empty((len(rows), 2 * len(line) + 3), dtype=np.int64)
        found[:, 0] = OPENING
        found[:, 1:-2:2] = np.where(shown, FIRST_NUMBER + line, EMPTY)
        found[:, 2:-2:2] = np.where(shown, self.first_line + self.line_of[positions], EMPTY)
        found[:, -2] = self.first_candidate + self.examples.timelines.item[events]
        found[:, -1] = CLOSING
        return found


class PromptLengths:
    """The lengths of prompts, as sums of the lengths of their pieces: `piece_lengths` (pieces,) in any unit."""

    def __init__(self, pieces: ColumnPieces, piece_lengths: Integers) -> None:
        self._pieces, self._piece_lengths = pieces, piece_lengths
        of_line = piece_lengths[pieces.first_line : pieces.first_candidate]
        # What all lines at earlier positions of the timelines, and all lower numbers, have together.
        self._lines_before: Offsets = offsets_of(of_line[pieces.line_of])
        self._numbers_before: Offsets = offsets_of(piece_lengths[FIRST_NUMBER : pieces.first_line])

    def all(self) -> NDArray[np.int32]:
        """Of every prompt, whole: (rows,)."""
        found = np.empty(len(self._pieces.examples), dtype=np.int32)
        for start in range(0, len(found), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(found)))
            found[rows] = self.without(rows, 0)
        return found

    def without(self, rows: Rows, dropped: int) -> Integers:
        """Of the prompts of `rows` without their `dropped` oldest lines, which they have: (rows,)."""
        examples = self._pieces.examples
        events, counts = examples.events[rows], examples.history_counts(rows)
        films = self._lines_before[events] - self._lines_before[events - counts + dropped]
        numbers = self._numbers_before[counts] - self._numbers_before[dropped]
        candidate = self._piece_lengths[self._pieces.first_candidate + examples.timelines.item[events]]
        return np.asarray(self._piece_lengths[OPENING] + self._piece_lengths[CLOSING] + candidate + films + numbers)


def cut_title(title: str) -> tuple[str, str]:
    """The title up to its last letter or digit, and the rest: ` Heat (1995`, `)`.

    What follows a title joins its last signs to one word, `): `, and never a letter or digit.
    """
    end = next((end for end in range(len(title), 0, -1) if title[end - 1].isalnum()), 0)
    return title[:end], title[end:]


class _Parts:
    """Distinct texts in the order they came; the first is empty."""

    def __init__(self) -> None:
        self._number = {"": 0}

    @property
    def texts(self) -> list[str]:
        return list(self._number)

    def numbers(self, texts: Iterable[str]) -> NDArray[np.int32]:
        number = self._number
        return np.array([number.setdefault(text, len(number)) for text in texts], dtype=np.int32)


def _distinct_lines(
    examples: TimelineExamples, titles: list[tuple[str, str]], parts: _Parts
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Each distinct film with its rating as parts (lines, 3), and which line each position of the timelines is."""
    timelines = examples.timelines
    stars, star_of = np.unique(timelines.rating, return_inverse=True)
    used, line_of = _distinct(timelines.item.astype(np.int64) * len(stars) + star_of, len(titles) * len(stars))
    items, codes = np.divmod(used, len(stars))
    stems = parts.numbers(stem for stem, _ in titles)
    index_of_tail = {tail: index for index, tail in enumerate(dict.fromkeys(tail for _, tail in titles))}
    tails, tail_of = list(index_of_tail), np.array([index_of_tail[tail] for _, tail in titles], dtype=np.int64)
    used_ends, end_of = _distinct(tail_of[items] * len(stars) + codes, len(tails) * len(stars))
    star_texts = [f"{rating_text(rating)}\n" for rating in stars.tolist()]
    shown_ends = (divmod(end, len(stars)) for end in used_ends.tolist())
    ends = parts.numbers(tails[tail] + star_texts[star] for tail, star in shown_ends)[end_of]
    return np.column_stack([stems[items], ends, np.zeros_like(ends)]), line_of


def _distinct(numbers: Integers, most: int) -> tuple[Integers, NDArray[np.int32]]:
    """The distinct ones of `numbers` (all below `most`), ascending, and the index of each number among them.

    A table of all possible numbers is several times as fast as sorting, and is left out if it would be larger than
    the numbers: ratings that are not half stars have as many values as there are ratings.
    """
    if most > max(_CHUNK, len(numbers)):
        distinct, index = np.unique(numbers, return_inverse=True)
        return distinct, index.astype(np.int32)
    used = np.zeros(most, dtype=bool)
    used[numbers] = True
    return np.flatnonzero(used), (np.cumsum(used, dtype=np.int32) - np.int32(1))[numbers]


def _candidates(titles: list[tuple[str, str]], head: str, parts: _Parts) -> NDArray[np.int32]:
    """The candidate's line of each film as parts: (films, 3). The title brings the space that ends `head`."""
    heads = parts.numbers([head.removesuffix(" ")] * len(titles))
    stems = parts.numbers(stem for stem, _ in titles)
    return np.column_stack([heads, stems, parts.numbers(f"{tail}\n" for _, tail in titles)])
