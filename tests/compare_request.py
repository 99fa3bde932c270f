"""A `CompareRequest` from options as a user gives them: the kind of comparison follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.evaluation.comparison.request import CompareRequest, ExternalOnly, kind_of_comparison

_OF_KIND = ("runs", "adapter", "controls", "base_precision")


def compare_request(
    resolved: ResolvedConfig | None,
    *,
    predictions: Path | None = None,
    test_file: Path | None = None,
    **options: Any,
) -> CompareRequest:
    """As `movielora compare` makes it. Raises what `kind_of_comparison` raises."""
    of_kind = {name: options.pop(name) for name in _OF_KIND if name in options}
    kind = kind_of_comparison(resolved, scores=predictions, test_file=test_file, **of_kind)
    beside = None if isinstance(kind, ExternalOnly) else predictions
    return CompareRequest(kind, beside=beside, test_file=test_file, **options)
