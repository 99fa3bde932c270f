"""The shape of comparison.json: which column plays which role, and where a column's figures are.

    roles       {"reference": key, "candidate": key}: the column compared with, and the column judged
    base, adapter   what a script wants at a glance, if the base and the adapter were scored
    models      an entry for every column: `base`, `adapter` and, in groups by key, `runs`, `controls`, `others`
                (external scores) and `baselines`
    difference  `candidate_minus_reference`, `candidate_minus_best_baseline`, `candidate_minus_controls` and
                `candidate_minus_others`: {metric: {value, low, high}}
    slices      with `reference`, `candidate` and `candidate_minus_reference` each

If the roles are base and adapter, the names that version 1 had are written too (`adapter_minus_base` …), with the same
values; a file of version 1, which has no `roles`, gets the names of today as it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from movielora.errors import DataError
from movielora.evaluation.saved.folder import ComparisonFolder, read_json_object
from movielora.scoring.score_table import ADAPTER, BASE, Roles

Kind = Literal["base", "adapter", "run", "control", "external", "baseline"]
# Where `models` holds the columns of each kind; the base and the adapter are there under their own names.
GROUPS: dict[Kind, str] = {"run": "runs", "control": "controls", "external": "others", "baseline": "baselines"}
_AGAIN = "run movielora compare again"

# Names of today and of version 1, where the reference is the base and the candidate its adapter.
_DIFFERENCES = {
    "candidate_minus_reference": "adapter_minus_base",
    "candidate_minus_best_baseline": "adapter_minus_best_baseline",
    "candidate_minus_controls": "adapter_minus_controls",
    "candidate_minus_others": "adapter_minus_others",
}
_SLICE = {
    "reference": "base",
    "candidate": "adapter",
    "candidate_minus_reference": "adapter_minus_base",
}
_VERDICT = {"against_reference": "against_base"}


def read_comparison(folder: ComparisonFolder) -> dict[str, Any]:
    """Read comparison.json, of this version or version 1. Raises DataError if it cannot be read."""
    comparison = read_json_object(folder.comparison, _AGAIN)
    try:
        return comparison if "roles" in comparison else _from_version_1(comparison)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder.comparison} is not of this version of movielora: {error}", _AGAIN) from None


def roles_of(comparison: Mapping[str, Any]) -> Roles:
    """Which columns a comparison compares."""
    return Roles(comparison["roles"]["reference"], comparison["roles"]["candidate"])


def entries(comparison: Mapping[str, Any]) -> Iterator[tuple[str, Kind, dict[str, Any]]]:
    """Every column of `models` as (key, kind, entry): base and adapter, runs, controls, external scores, baselines."""
    models = comparison["models"]
    for name in (BASE, ADAPTER):
        if name in models:
            yield name, name, models[name]  # type: ignore[misc]
    for kind, group in GROUPS.items():
        for key, entry in models.get(group, {}).items():
            yield key, kind, entry


def entry_of(comparison: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The figures of one column. Raises KeyError if there is no such column."""
    for name, _, entry in entries(comparison):
        if name == key:
            return entry
    raise KeyError(key)


def with_former_names(comparison: dict[str, Any]) -> dict[str, Any]:
    """The comparison with version 1's names beside today's, if its roles are base and adapter."""
    if not roles_of(comparison).are_base_and_adapter:
        return comparison
    return comparison | {
        "difference": _both(comparison["difference"], _DIFFERENCES),
        "verdict_detail": _both(comparison["verdict_detail"], _VERDICT),
        "slices": [_both(entry, _SLICE) for entry in comparison["slices"]],
    }


def _from_version_1(comparison: dict[str, Any]) -> dict[str, Any]:
    """Two runs and external scores were written as "base" and "adapter" too; `name` says what they are."""
    return comparison | {
        "roles": Roles().to_json(),
        "difference": _both(comparison["difference"], _turned(_DIFFERENCES)),
        "verdict_detail": _both(comparison["verdict_detail"], _turned(_VERDICT)),
        "slices": [_both(entry, _turned(_SLICE)) for entry in comparison["slices"]],
    }


def _both(values: dict[str, Any], other_names: Mapping[str, str]) -> dict[str, Any]:
    return values | {other: values[name] for name, other in other_names.items()}


def _turned(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}
