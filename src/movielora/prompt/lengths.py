"""How long examples are: their characters, percentiles, a histogram, and which cutoff they call for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example_set import ExampleSet
from movielora.examples.timeline_examples import TimelineExamples
from movielora.prompt.column_pieces import ColumnPieces, PromptLengths
from movielora.prompt.render import fixed_text, render
from movielora.prompt.spec import PromptSpec

# Kernels like lengths that are multiples of 64, and a round number is easier to keep in mind.
_MULTIPLE = 64
_RECOMMENDED_PERCENTILE = 95.0
_BINS = 12


@dataclass(frozen=True)
class LengthSummary:
    """`histogram` is (from, to, count) by equal steps; lengths are in the unit they were counted in."""

    samples: int
    least: int
    mean: float
    most: int
    percentiles: dict[str, float]
    histogram: list[tuple[int, int, int]]


@dataclass(frozen=True)
class CutoffAdvice:
    """`recommended` is p95 rounded up to a multiple of 64, `cuts_nothing` the longest example; tokens.

    `over_cutoff` and `over_recommended` count the examples that lose history. `saved_share` is the share of the
    longest possible batch, hence of its activation memory, that `recommended` saves against the cutoff.
    """

    cutoff_len: int
    over_cutoff: int
    recommended: int
    over_recommended: int
    cuts_nothing: int
    saved_share: float


def count_characters(examples: ExampleSet, spec: PromptSpec) -> NDArray[np.int64]:
    """Characters of each example as `spec` renders it, without the chat template: (rows,).

    Those of a prepared dataset are sums over its columns. Raises DataError as `render` does.
    """
    if not isinstance(examples, TimelineExamples):
        return np.array([render(example, spec).characters for example in examples], dtype=np.int64)
    fixed = fixed_text(spec)
    opening = fixed.system + fixed.instruction + fixed.before
    pieces = ColumnPieces.of(examples, spec, opening, fixed.after, str)
    of_part = np.array([len(text) for text in pieces.parts], dtype=np.int64)
    return PromptLengths(pieces, of_part[pieces.made_of].sum(axis=1)).all().astype(np.int64)


def summarise_lengths(lengths: NDArray[np.int64], percentiles: Sequence[float]) -> LengthSummary:
    """`lengths` (examples,). A percentile is the smallest length that at least that share does not exceed."""
    ascending = np.sort(lengths)
    return LengthSummary(
        samples=len(lengths),
        least=int(lengths.min()),
        mean=float(lengths.mean()),
        most=int(lengths.max()),
        percentiles={f"{wanted:g}": _percentile(ascending, wanted) for wanted in percentiles},
        histogram=_histogram(lengths),
    )


def advise_cutoff(lengths: NDArray[np.int64], cutoff_len: int) -> CutoffAdvice:
    """What `cutoff_len` costs examples of these `lengths` (examples,) in tokens, and which cutoff suits them better."""
    p95 = _percentile(np.sort(lengths), _RECOMMENDED_PERCENTILE)
    recommended = max(_MULTIPLE, math.ceil(p95 / _MULTIPLE) * _MULTIPLE)
    longest = int(lengths.max())
    before, after = min(cutoff_len, longest), min(recommended, longest)
    return CutoffAdvice(
        cutoff_len=cutoff_len,
        over_cutoff=int((lengths > cutoff_len).sum()),
        recommended=recommended,
        over_recommended=int((lengths > recommended).sum()),
        cuts_nothing=longest,
        saved_share=max(0.0, 1 - after / before),
    )


def _percentile(ascending: NDArray[np.int64], wanted: float) -> int:
    """Multiplied before divided: numpy's `inverted_cdf` takes p99.9 of 1,000 lengths for the 1,000th."""
    rank = math.ceil(wanted * len(ascending) / 100)
    return int(ascending[max(rank, 1) - 1])


def _histogram(lengths: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    least, most = int(lengths.min()), int(lengths.max())
    step = max(1, math.ceil((most - least + 1) / _BINS))
    starts = range(least, most + 1, step)
    counts = np.bincount((lengths - least) // step, minlength=len(starts))
    return [(start, start + step - 1, int(count)) for start, count in zip(starts, counts, strict=True)]
