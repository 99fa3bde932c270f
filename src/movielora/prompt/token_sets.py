"""Prompts as token ids: what a trainer and a scorer read, whether the ids are held or joined when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from movielora.errors import DataError
from movielora.examples.example_set import Labels, Rows, offsets_of

Ids = NDArray[np.uint32]
Offsets = NDArray[np.int64]
# `Yes<|im_end|>`
ANSWER_TOKENS = 2


class PromptTokens(Protocol):
    """The prompts of many examples by row.

    `labels` (rows,) are the true answers (1 Yes, 0 No, −1 unknown), `lengths` (rows,) the tokens of each prompt without
    its answer, `rows_cut` the rows that lost history to the cutoff. `answer_ids` are the token ids of Yes, No and the
    end of the turn.
    """

    @property
    def labels(self) -> Labels: ...

    @property
    def lengths(self) -> NDArray[np.integer]: ...

    @property
    def rows_cut(self) -> int: ...

    @property
    def answer_ids(self) -> tuple[int, int, int]: ...

    def __len__(self) -> int: ...

    def prompt(self, row: int) -> Ids:
        """The ids of one prompt."""
        ...

    def prompts(self, rows: Rows) -> tuple[Ids, Offsets]:
        """The ids of `rows` end to end in their order, and where each starts (rows + 1,)."""
        ...


@dataclass(frozen=True)
class TokenizedExamples:
    """Prompts as token ids, end to end, and their answers.

    `ids` (uint32) holds all prompts; prompt i is `ids[offsets[i]:offsets[i + 1]]` (offsets: int64, n + 1). `labels`
    (int8, n) are the true answers, `dropped_lines` (uint32, n) the history lines each row lost to the cutoff.
    """

    ids: Ids
    offsets: Offsets
    labels: Labels
    dropped_lines: NDArray[np.uint32]
    answer_ids: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def rows_cut(self) -> int:
        return int(np.count_nonzero(self.dropped_lines))

    def prompt(self, row: int) -> Ids:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def prompts(self, rows: Rows) -> tuple[Ids, Offsets]:
        return gather(self.ids, self.offsets[:-1][rows], self.lengths[rows])


def too_long(place: str, prompt_tokens: int, room: int) -> DataError:
    """The error for the example at `place`: without any history its prompt has more than `room` tokens.

    Both counts are without the answer; the message counts it, as `cutoff_len` does.
    """
    needed = prompt_tokens + ANSWER_TOKENS
    return DataError(
        f"{place} needs {needed:,} tokens even without history, more than `cutoff_len: {room + ANSWER_TOKENS}`",
        f"--set cutoff_len={-(-needed // 64) * 64}",
    )


def gather(flat: Ids, starts: Offsets, lengths: NDArray[np.int64]) -> tuple[Ids, Offsets]:
    """The pieces `flat[starts[i] : starts[i] + lengths[i]]` end to end, and the offsets of each (pieces + 1)."""
    offsets = offsets_of(lengths)
    return flat[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])], offsets


def joined_offsets(parts: Sequence[TokenizedExamples]) -> Offsets:
    """Where each prompt of `parts`, laid end to end, starts; and the end (n + 1)."""
    return offsets_of(np.concatenate([part.lengths for part in parts]))


def concatenate(parts: Sequence[TokenizedExamples]) -> TokenizedExamples:
    """Parts of one dataset as one, in their order."""
    return TokenizedExamples(
        np.concatenate([part.ids for part in parts]),
        joined_offsets(parts),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.dropped_lines for part in parts]),
        parts[0].answer_ids,
    )
