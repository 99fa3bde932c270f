"""Many examples in order: what training, evaluation and baselines read, whatever the examples came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from movielora.errors import DataError
from movielora.examples.example import Example

Rows = NDArray[np.int64]
# Labels: 1 for Yes, 0 for No, −1 if the answer is unknown.
YES_LABEL, NO_LABEL, UNKNOWN_LABEL = 1, 0, -1
Labels = NDArray[np.int8]


def label_array(labels: Iterable[bool | None]) -> Labels:
    """Answers as numbers: `YES_LABEL`, `NO_LABEL`, or `UNKNOWN_LABEL` for None; (examples,)."""
    known = {True: YES_LABEL, False: NO_LABEL, None: UNKNOWN_LABEL}
    return np.array([known[label] for label in labels], dtype=np.int8)


def offsets_of(lengths: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """Where pieces of these lengths, laid end to end, start; and the end (n + 1)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def sample_rows(count: int, most: int | None, seed: int) -> Rows:
    """`most` of `count` row numbers, drawn without replacement, ascending; all of them if `most` is None."""
    if most is None or most >= count:
        return np.arange(count, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False)).astype(np.int64)


class ExampleSet(Protocol):
    """Examples by row, from 0. `name` is what errors and progress call them; `labels` is (rows,)."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Labels: ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...

    def select(self, rows: Rows) -> ExampleSet:
        """The examples at `rows`, in that order."""
        ...


@dataclass(frozen=True)
class ListedExamples:
    """Examples in memory, as importers read them."""

    name: str
    examples: Sequence[Example]

    @classmethod
    def of(cls, name: str, examples: Iterator[Example]) -> ListedExamples:
        """All of `examples`, in memory. Raises DataError if there are none."""
        found = list(examples)
        if not found:
            raise DataError(f"{name} holds no records", "movielora prepare --help shows how to make a dataset")
        return cls(name, found)

    @cached_property
    def labels(self) -> Labels:
        return label_array(example.label for example in self.examples)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> Example:
        return self.examples[row]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def select(self, rows: Rows) -> ListedExamples:
        return ListedExamples(self.name, [self.examples[row] for row in rows.tolist()])
