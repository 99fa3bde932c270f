"""Select rows of a finished comparison: filters, order, and the figures of a selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from movielora.errors import ConfigError
from movielora.evaluation.metrics.formulas import all_metrics
from movielora.evaluation.saved.analysis import BUCKETS, Analysis
from movielora.evaluation.saved.comparison_json import entry_of
from movielora.scoring.log_odds import Ints
from movielora.scoring.predictions import user_codes
from movielora.sources.titles import shown_title

SORTS = ("confidence", "disagreement", "row")


@dataclass(frozen=True)
class RowFilter:
    """All conditions must hold; None or empty is no condition. `slices` are (by, name)."""

    bucket: str | None = None
    slices: tuple[tuple[str, str], ...] = ()
    search: str | None = None
    user: str | None = None


def select_rows(analysis: Analysis, wanted: RowFilter, sort: str = "confidence") -> Ints:
    """The rows that `wanted` leaves, sorted: broken first, then by `sort`.

    `confidence`: the candidate's most confident answers first; `disagreement`: the widest gap between candidate and
    reference first; `row`: the file's order, buckets mixed. Raises ConfigError for a bucket, slice or sort that does
    not exist.
    """
    keep = np.ones(len(analysis.table), dtype=bool)
    if wanted.bucket is not None:
        keep &= analysis.bucket == _place_of_bucket(wanted.bucket)
    for by, name in wanted.slices:
        keep &= _in_slice(analysis, by, name)
    if wanted.user is not None:
        keep &= np.array([str(record.get("user_id")) == wanted.user for record in analysis.table.records])
    if wanted.search:
        needle = wanted.search.casefold()
        keep &= np.array([needle in _searched(record) for record in analysis.table.records])
    return _sorted(analysis, np.flatnonzero(keep), sort)


def describe_selection(analysis: Analysis, rows: Ints) -> dict[str, Any]:
    """Figures of the selected rows: `{"matched", "buckets", "roles", "names", "columns"}`, the last by column; `base`
    and `adapter` stand beside them too if they play the roles."""
    counts = np.bincount(analysis.bucket[rows], minlength=len(BUCKETS))
    users, _ = user_codes([analysis.table.records[row] for row in rows]) if len(rows) else (None, "")
    labels = analysis.table.labels[rows]

    def metrics(column: str) -> dict[str, float]:
        scores = analysis.table[column]
        return all_metrics(labels, scores.log_odds[rows], scores.answer_mass[rows], users)

    roles = analysis.roles
    columns = {key: metrics(key) for key in (roles.reference, roles.candidate)}
    return {
        "matched": len(rows),
        "buckets": {name: int(count) for name, count in zip(BUCKETS, counts, strict=True)},
        "roles": roles.to_json(),
        "names": {key: entry_of(analysis.comparison, key)["name"] for key in columns},
        "columns": columns,
        **(columns if roles.are_base_and_adapter else {}),
    }


def parse_slice(analysis: Analysis, text: str) -> tuple[str, str]:
    """`genre=Drama` as (by, name), matched without regard to case. Raises ConfigError naming what there is."""
    by, separator, name = text.partition("=")
    ways = {way.by.casefold(): way for way in analysis.ways}
    way = ways.get(by.strip().casefold())
    if not separator or way is None:
        raise ConfigError(
            f"--slice {text!r} is not a slice of this comparison", f"slices are {', '.join(sorted(ways)) or 'none'}"
        )
    names = {known.casefold(): known for known in way.names}
    found = names.get(name.strip().casefold())
    if found is None:
        raise ConfigError(f"--slice {way.by}={name} does not occur", f"there are: {', '.join(way.names)}")
    return way.by, found


def _place_of_bucket(name: str) -> int:
    if name not in BUCKETS:
        raise ConfigError(f"there is no bucket {name!r}", f"buckets are {', '.join(BUCKETS)}")
    return BUCKETS.index(name)


def _in_slice(analysis: Analysis, by: str, name: str) -> Any:
    way = next(way for way in analysis.ways if way.by == by)
    place = way.names.index(name)
    return np.array([place in members for members in way.members], dtype=bool)


def _searched(record: dict[str, Any]) -> str:
    """Everything of a row that a text search looks into, without regard to case: titles in both orders of words."""
    titles = [str(title) for title in (record.get("candidate_title"), *(record.get("history_titles") or ())) if title]
    natural = [shown_title(title, "natural") for title in titles]
    parts = [*titles, *natural, record.get("input"), record.get("user_id")]
    return "\n".join(str(part) for part in parts if part is not None).casefold()


def _sorted(analysis: Analysis, rows: Ints, sort: str) -> Ints:
    reference, candidate = analysis.reference.log_odds[rows], analysis.candidate.log_odds[rows]
    if sort == "row":
        return rows
    if sort == "confidence":
        return rows[np.lexsort((rows, -np.abs(candidate), analysis.bucket[rows]))]
    if sort == "disagreement":
        return rows[np.lexsort((rows, -np.abs(candidate - reference), analysis.bucket[rows]))]
    raise ConfigError(f"there is no order {sort!r}", f"orders are {', '.join(SORTS)}")
