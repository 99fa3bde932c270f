"""MovieLens ratings to example files: movielora and pandas, user by user and row by row; and 32 million ratings.

--ratings N measures movielora on N synthetic ratings of N / 160 users, all examples, written as columns, compared with
itself at one million: both in seconds a million examples. The dataset must be smaller than a gigabyte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datasets_here import synthetic_ratings
from harness import Benchmark, run_benchmark
from places import SHARED, WORK
from report import Goal

_HISTORY, _THRESHOLD, _EVAL, _TEST = 15, 4.0, 0.05, 0.1
_MILLION, _MOST_DISK_BYTES = 1_000_000, 10**9


def _source(options: argparse.Namespace) -> Path:
    from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

    real = SHARED / "ml-latest-small"
    if real.is_dir() and not options.quick:
        return real
    folder = WORK / "synthetic_ratings"
    if not (folder / "ratings.csv").is_file():
        write_synthetic_movielens(folder, SyntheticSize())
    return folder


def _movielora(options: argparse.Namespace) -> dict[str, Any]:
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.progress import SILENT

    source = _source(options)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        started = time.perf_counter()
        prepare(source, Path(folder) / "out", PrepareOptions(), SILENT)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "result": _digest(Path(folder) / "out" / "train.json") if options.check else None}


def _columns_side(count: int) -> dict[str, Any]:
    """Seconds a million examples; the result is how many examples a user gave."""
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare
    from movielora.progress import SILENT

    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        output = Path(folder) / "out"
        started = time.perf_counter()
        meta = prepare(synthetic_ratings(count), output, PrepareOptions(export="none"), SILENT).meta
        seconds = time.perf_counter() - started
        disk = sum(path.stat().st_size for path in output.iterdir())
    examples = sum(meta["counts"].values())
    assert disk < _MOST_DISK_BYTES, f"the dataset is {disk:,} bytes"
    return {
        "seconds": _MILLION * seconds / examples,
        "result": examples / meta["users"],
        "examples": examples,
        "whole_seconds": seconds,
        "disk_bytes": disk,
        "show": ["examples", "whole_seconds", "disk_bytes"],
    }


def _pandas(options: argparse.Namespace, timeline: Callable[[Any], Iterator[tuple[list[Any], Any]]]) -> dict[str, Any]:
    import pandas as pd

    from movielora.sources.titles import shown_title

    source = _source(options)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        started = time.perf_counter()
        listed = pd.read_csv(source / "movies.csv")[["movieId", "title"]].itertuples(index=False)
        titles = {film: shown_title(title, "natural") for film, title in listed}
        ratings = pd.read_csv(source / "ratings.csv").sort_values(["userId", "timestamp", "movieId"], kind="stable")
        splits: dict[str, list[dict[str, Any]]] = {"train": [], "eval": [], "test": []}
        for user, rated in ratings.groupby("userId"):
            rows = [_example(int(user), shown, asked, titles) for shown, asked in timeline(rated)]
            test = min(len(rows), max(1, math.floor(len(rows) * _TEST + 1e-9)))
            held = min(len(rows) - test, max(1, math.floor(len(rows) * _EVAL + 1e-9)))
            splits["test"] += rows[len(rows) - test :]
            splits["eval"] += rows[len(rows) - test - held : len(rows) - test]
            splits["train"] += rows[: len(rows) - test - held]
        for name, rows in splits.items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "result": _digest(Path(folder) / "train.json") if options.check else None}


def _row_by_row(rated: Any) -> Iterator[tuple[list[Any], Any]]:
    """The films shown, as (film, stars), and the one asked of: pandas' rows, as a notebook would take them."""
    for at in range(_HISTORY, len(rated)):
        shown, asked = rated.iloc[at - _HISTORY : at], rated.iloc[at]
        yield [(row.movieId, row.rating) for row in shown.itertuples()], (int(asked.movieId), asked.rating)


def _by_lists(rated: Any) -> Iterator[tuple[list[Any], Any]]:
    """The same from plain lists, taken out of pandas once a user: as fast as this gets in Python."""
    films = list(zip(rated["movieId"].tolist(), rated["rating"].tolist(), strict=True))
    for at in range(_HISTORY, len(films)):
        yield films[at - _HISTORY : at], films[at]


def _example(user: int, shown: list[Any], asked: Any, titles: dict[int, str]) -> dict[str, Any]:
    from movielora.prompt.spec import INSTRUCTION, SYSTEM

    lines = [f"{number}. {' '.join(titles[film].split())}: {stars:g}" for number, (film, stars) in enumerate(shown, 1)]
    candidate = f"Candidate film: {' '.join(titles[asked[0]].split())}"
    question = "Will this user like the candidate film? Answer Yes or No."
    return {
        "instruction": INSTRUCTION,
        "input": "\n".join(["Rated films:", *lines, candidate, question]),
        "output": "Yes" if asked[1] >= _THRESHOLD else "No",
        "system": SYSTEM,
        "user_id": user,
    }


def _digest(train: Path) -> list[Any]:
    rows = json.loads(train.read_text(encoding="utf-8"))
    said = "\n\n".join(f"{row['user_id']} {row['input']} {row['output']}" for row in rows)
    return [len(rows), hashlib.sha256(said.encode()).hexdigest()]


def _same(ours: Any, peers: Any) -> None:
    assert ours == peers, f"training examples differ: {ours} and {peers}"


def _rating_count(options: argparse.Namespace) -> int:
    with (_source(options) / "ratings.csv").open(encoding="utf-8") as lines:
        return sum(1 for _ in lines) - 1


def _against_pandas() -> Benchmark:
    return Benchmark(
        name="prepare",
        question="ratings to example files, compared with pandas user by user and row by row",
        sides={
            "movielora": _movielora,
            "pandas": partial(_pandas, timeline=_row_by_row),
            "lists": partial(_pandas, timeline=_by_lists),
        },
        same=_same,
        goals=(Goal("ratio", at_least=4),),
        prepare=lambda options: _source(options),
        options=_add_ratings,
        facts=lambda options: {"ratings": _rating_count(options)},
        own_names=("ratings",),
    )


def _against_a_million(count: int) -> Benchmark:
    return Benchmark(
        name=f"prepare-{count}",
        question="synthetic ratings to columns, no cap a user, compared with itself at one million",
        sides={
            "movielora": lambda options: _columns_side(count),
            "at 1 million": lambda options: _columns_side(_MILLION),
        },
        same=_alike,
        goals=(Goal("ratio", at_least=1), Goal("peak_bytes", at_most=4e9)),
        unit="s/million examples",
        prepare=lambda options: (synthetic_ratings(count), synthetic_ratings(_MILLION)),
        options=_add_ratings,
        facts=lambda options: {"data": "synthetic", "ratings": count},
        own_names=("ratings",),
    )


def _alike(ours: float, other: float) -> None:
    assert abs(ours - other) <= 0.01 * other, f"examples a user differ: {ours} and {other}"


def _add_ratings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ratings", type=int, help="so many synthetic ratings, compared with one million")


if __name__ == "__main__":
    first = argparse.ArgumentParser(add_help=False)
    _add_ratings(first)
    chosen = first.parse_known_args()[0].ratings
    run_benchmark(_against_a_million(chosen) if chosen else _against_pandas())
