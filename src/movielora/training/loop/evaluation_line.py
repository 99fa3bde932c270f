"""One line about an evaluation, as it is printed and logged while a training goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping

# What one line about an evaluation shows, as far as it is known.
_SHOWN = ("auc", "uauc", "f1")
_WORDS = {"auc": "AUC", "uauc": "uAUC", "f1": "F1"}


def evaluation_line(metrics: Mapping[str, float], step: int, best_by: str, *, is_best: bool) -> str:
    """`step 60  AUC .684  uAUC .612  F1 .634  ★ best`, with the metric that decides; `metrics` as logged (`eval_…`)."""
    names = dict.fromkeys((*_SHOWN, best_by))
    values = {name: metrics.get(f"eval_{name}", math.nan) for name in names}
    parts = [f"step {step:,}"]
    parts += [f"{metric_words(name)} {three_decimals(value)}" for name, value in values.items() if math.isfinite(value)]
    return "  ".join([*parts, *(["★ best"] if is_best else [])])


def metric_words(name: str) -> str:
    """A metric as people write it: `AUC`, `log loss`."""
    return _WORDS.get(name, name.replace("_", " "))


def three_decimals(value: float) -> str:
    """Three decimals, without a leading zero: `.684`, `1.000`, `3.097`."""
    return f"{value:.3f}".removeprefix("0")
