"""Log-odds and probabilities of Yes, and the array types that scores come in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def probability(log_odds: Floats) -> Floats:
    """P(Yes), the sigmoid, without overflow at either end."""
    # exp of a negative number never overflows; the two branches are the same function.
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


def log_odds_of(p_yes: Floats) -> Floats:
    """The log-odds of probabilities in (0, 1); 0 and 1 give infinities."""
    with np.errstate(divide="ignore"):
        return np.log(p_yes) - np.log1p(-p_yes)
