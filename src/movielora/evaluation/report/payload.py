"""Make the page's data, as compact JSON: columns instead of rows, every title once.

9,000 rows with fifteen films each stay near 2 MB. Above 20,000 rows the page holds a sample of them, so that it stays
under 5 MB; what it counts and draws, the scatter aside, is over every row all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from movielora.evaluation.report.curves import training_curves
from movielora.evaluation.report.shapes import score_shapes
from movielora.evaluation.saved.analysis import BUCKETS, Analysis
from movielora.evaluation.saved.comparison_json import entries, entry_of
from movielora.evaluation.saved.sentences import data_warnings, describe_rows, provenance_lines
from movielora.prompt.spec import PromptSpec
from movielora.runs.metric_names import LOSSES_EXPLAINED
from movielora.scoring.log_odds import Floats, Ints
from movielora.sources.titles import Titles, one_line, shown_title

_METRICS = ("auc", "accuracy", "precision", "recall", "f1", "uauc", "log_loss", "brier", "ece", "answer_mass")
_NAMED_BY_USER = ("run", "external")
_LOG_ODDS_DIGITS = 3
# JSON has no infinities; the page's scatter calls an edge this far out none.
_INFINITE = 1e6
_MOST_ROWS = 20_000
_SAMPLE_SEED = 0


def page_data(analysis: Analysis) -> dict[str, Any]:
    """Everything that the page's script reads; JSON without NaN or infinities."""
    comparison = analysis.comparison
    rows = rows_embedded(len(analysis.table))
    return {
        "title": _title(analysis),
        "verdict": comparison["verdict"],
        "outcome": comparison["verdict_detail"]["outcome"],
        "described": describe_rows(comparison),
        "former": f"{analysis.former}." if analysis.former else "",
        "caveats": data_warnings(comparison),
        "models": _models(analysis),
        "own_names": [key for key, kind, _ in entries(comparison) if kind in _NAMED_BY_USER],
        "roles": analysis.roles.to_json(),
        "difference": comparison["difference"],
        "mcnemar": comparison["mcnemar"],
        "calibration": comparison["calibration"],
        "slices": comparison["slices"],
        "resampled": comparison["data"]["resampled"],
        "hidden": {"slices": comparison["data"]["slices_hidden"], "under": comparison["data"]["slices_min_rows"]},
        "curves": training_curves(comparison.get("provenance", {})),
        "losses": LOSSES_EXPLAINED,
        "provenance": provenance_lines(comparison),
        "prompt": prompt_pattern(comparison.get("prompt")),
        "buckets": list(BUCKETS),
        "samples": len(analysis.table),
        "bucket_counts": [comparison["buckets"][bucket] for bucket in BUCKETS],
        "positive": int(analysis.table.labels.sum()),
        "shapes": _shapes(analysis),
        "sampled": _sampled(rows, len(analysis.table)),
        **_rows(analysis, rows, (comparison.get("prompt") or {}).get("titles", "as_given")),
    }


def _title(analysis: Analysis) -> str:
    """What is compared: the run by its name, two runs, or a file of scores; the folder if none is known."""
    comparison, roles = analysis.comparison, analysis.roles
    kinds = {key: kind for key, kind, _ in entries(comparison)}
    names = {role: entry_of(comparison, key)["name"] for role, key in roles.to_json().items()}
    if kinds[roles.candidate] == "run":
        return f"{names['candidate']} against {names['reference']}"
    if kinds[roles.candidate] == "external":
        return str(names["candidate"])
    made = comparison.get("provenance", {})
    of_run = made.get("run_name") or Path(made.get("run_dir") or made.get("adapter") or "").name
    return str(of_run or analysis.folder.root.resolve().name)


def rows_embedded(count: int) -> Ints:
    """The rows that the page holds: all, or 20,000 drawn with a fixed seed, ascending."""
    if count <= _MOST_ROWS:
        return np.arange(count, dtype=np.int64)
    return np.sort(np.random.default_rng(_SAMPLE_SEED).choice(count, _MOST_ROWS, replace=False)).astype(np.int64)


def _sampled(rows: Ints, count: int) -> str:
    """How the page describes its sample; "" if it holds every row."""
    if len(rows) == count:
        return ""
    return (
        f"The scatter, and the rows here with what is counted among them, are a random sample of {len(rows):,} of the "
        f"{count:,} rows (seed {_SAMPLE_SEED}); every other figure and chart on this page, the counts of buckets and "
        f"slices included, is over all {count:,}."
    )


def _shapes(analysis: Analysis) -> dict[str, Any]:
    """By role of the columns whose curves are drawn: reference, candidate, and the best baseline if it is another."""
    best = _other_baseline(analysis)
    drawn = {"reference": analysis.reference.log_odds, "candidate": analysis.candidate.log_odds}
    if best:
        drawn["baseline"] = analysis.baselines[best]
    return {role: score_shapes(analysis.table.labels, log_odds) for role, log_odds in drawn.items()}


def prompt_pattern(prompt: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The prompt in pieces, so that the page can write any row's: `before`, a line for each film (`line` with stars,
    `bare_line` without), and what follows. `prompt` is a prompt spec as `prompt.json` holds it, None for the default.
    """
    spec = prompt or PromptSpec().to_json()
    wording = spec["wording"]
    return {
        "system": spec["system"],
        "instruction": spec["instruction"],
        "before": f"{wording['history_head']}\n",
        "line": wording["line"],
        "bare_line": wording["bare_line"],
        "after": f"\n{wording['candidate_head']}{{candidate}}\n{wording['question']}",
    }


def _other_baseline(analysis: Analysis) -> str | None:
    """The best baseline, None if there is none or it is the reference already."""
    best = analysis.best_baseline
    return None if best == analysis.roles.reference else best


def _models(analysis: Analysis) -> list[dict[str, Any]]:
    """Every column; `role` is how it is drawn: by its role in the comparison, else by its kind. `title` is the name at
    the start of a line: what a user named stays as it is."""
    roles, best = analysis.roles, _other_baseline(analysis)
    by_role = {roles.reference: "reference", roles.candidate: "candidate"}
    return [
        {
            "key": key,
            "role": by_role.get(key, kind),
            "name": entry["name"],
            "title": entry["name"] if kind in _NAMED_BY_USER else _capital(entry["name"]),
            "how": entry.get("how", ""),
            "best": key == best,
            "metrics": {metric: entry[metric] for metric in _METRICS},
            "intervals": entry["intervals"],
            "calibrated": entry["calibrated"],
            "at_best_f1": entry["at_best_f1"],
        }
        for key, kind, entry in entries(analysis.comparison)
    ]


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _rows(analysis: Analysis, rows: Ints, shown: Titles) -> dict[str, Any]:
    """The columns of `rows`; `number` is each one's row in the test file, None if the page holds them all.

    `reference` and `candidate` are log-odds by role, `film` is the film asked about. `titles` are as the prompt has
    them, `other_titles` their other order of words by place, which a search finds too.
    """
    places = rows.tolist()
    questions = [analysis.question(row) for row in places]
    titles, users = _Table(), _Table()
    best = _other_baseline(analysis)
    columns = {
        "number": None if len(rows) == len(analysis.table) else analysis.table.rows[rows].tolist(),
        "label": "".join("1" if label else "0" for label in analysis.table.labels[rows].tolist()),
        "reference": _short(analysis.reference.log_odds[rows]),
        "candidate": _short(analysis.candidate.log_odds[rows]),
        "best": _short(analysis.baselines[best][rows]) if best else None,
        "reference_mass": _short(analysis.reference.answer_mass[rows]),
        "candidate_mass": _short(analysis.candidate.answer_mass[rows]),
        "user": [-1 if question.user is None else users.place(question.user) for question in questions],
        "film": [-1 if question.candidate is None else titles.place(question.candidate) for question in questions],
        "history": [[titles.place(title) for title in question.titles] for question in questions],
        "stars": [
            None if question.ratings is None else [_plain(r) for r in question.ratings] for question in questions
        ],
        "text": {str(row): question.text for row, question in enumerate(questions) if question.text is not None},
    }
    ways = [
        {"by": way.by, "title": way.title, "names": way.names, "members": [way.members[row] for row in places]}
        for way in analysis.ways
    ]
    other = _other_titles(titles.names, shown)
    names = [shown_title(title, shown) for title in titles.names] if shown == "natural" else titles.names
    return {"rows": columns, "titles": names, "other_titles": other, "users": users.names, "ways": ways}


def _other_titles(titles: list[str], shown: Titles) -> dict[str, str]:
    """By place, each title as given if prompts show it in natural order, and the other way round; if they differ."""
    pairs = ((title, shown_title(title, "natural")) for title in titles)
    return {
        str(place): given if shown == "natural" else natural
        for place, (given, natural) in enumerate(pairs)
        if one_line(given) != natural
    }


class _Table:
    """Names in the order they came, each once."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}

    def place(self, name: str) -> int:
        return self._place.setdefault(name, len(self._place))

    @property
    def names(self) -> list[str]:
        return list(self._place)


def _short(column: Floats) -> list[float | None]:
    """Three decimals, ±1,000,000 for infinities, None for NaN. A score just above 0 stays above 0, so that no rounding
    turns a Yes into a No."""
    least = 10.0**-_LOG_ODDS_DIGITS
    exactly = np.clip(column, -_INFINITE, _INFINITE).tolist()
    rounded = [None if math.isnan(value) else round(value, _LOG_ODDS_DIGITS) for value in exactly]
    return [least if value == 0 and exact > 0 else value for value, exact in zip(rounded, exactly, strict=True)]


def _plain(rating: float) -> float | int:
    return int(rating) if rating == int(rating) else rating
