"""Compute what is known of the test rows without any model: baselines, training counts, leaks between the splits.

Reading 78,271 training records and fitting takes about five seconds, so the result is kept beside the training file
in `.movielora-reference/`, under the hash of the files it came from: a changed file never meets an old result.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movielora.evaluation.baselines.catalogue import BY_KEY
from movielora.evaluation.baselines.fit import Fitted, fit_baselines
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.leakage import describe_data
from movielora.evaluation.features.split import SplitFeatures, split_features
from movielora.evaluation.features.training_counts import FilmNames, Tally, user_names
from movielora.examples.load import ExampleLoader
from movielora.examples.row_keys import row_keys
from movielora.examples.trained_rows import TrainedRows
from movielora.progress import SILENT, Reporter
from movielora.scoring.log_odds import Bools, Floats

# Raise it when a baseline, a column or a count is computed differently: old results are then not used. A new baseline
# gives another key without that.
_VERSION = 3
_CACHE = ".movielora-reference"


@dataclass(frozen=True)
class RowFacts:
    """Facts of every row of the test file, NaN or None if unknown. The columns, (rows,) each:

    `history_length` films shown, `like_share` of the films shown, `user_count` and `movie_count` training answers of
    the user and about the candidate, `user_like_rate` smoothed. `candidates` are titles in natural order, `movie_ids`
    texts. `data` is `describe_data`, with the SHA-256 of each split: of its file, or of the columns of a prepared
    dataset. `in_training` (rows,) says which rows are rows of the training split too; None if there is none.
    """

    fitted: Fitted
    labels: Bools
    eval_labels: Bools | None
    columns: dict[str, Floats]
    candidates: list[str | None]
    movie_ids: list[str | None]
    data: dict[str, Any]
    in_training: Bools | None = None


def row_facts(files: SplitFiles, reporter: Reporter = SILENT, loader: ExampleLoader | None = None) -> RowFacts:
    """Fit the baselines and count, or take both from the cache; `loader` opens the splits.

    Raises DataError if a file cannot be read or holds a broken record.
    """
    liked_at = files.rating_threshold(reporter)
    loader = loader or ExampleLoader()
    hashes = {name: loader.content_hash(path) for name, path in files.present().items()}
    facts = [_VERSION, [*BY_KEY], liked_at, loader.history_len, hashes]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    cached = files.folder / _CACHE / f"{key}.npz"
    found = _load(cached)
    if found is None:
        found = _compute(files, loader, liked_at, hashes, reporter)
        _save(cached, found, reporter)
    return found


def _compute(
    files: SplitFiles, loader: ExampleLoader, liked_at: float, hashes: dict[str, str], reporter: Reporter
) -> RowFacts:
    present = files.present()
    splits: dict[str, SplitFeatures] = {}
    with reporter.phase("Reading the splits for the baselines", len(present), "files") as phase:
        for name, path in present.items():
            splits[name] = split_features(loader.open(path), liked_at)
            phase.advance()
    train, test = splits.get("train"), splits["test"]
    with reporter.phase("Fitting the baselines") as phase:
        fitted = fit_baselines(train, {name: split for name, split in splits.items() if name != "train"})
        phase.advance(len(fitted.log_odds))
    return RowFacts(
        fitted=fitted,
        labels=test.labels,
        eval_labels=splits["eval"].labels if "eval" in splits else None,
        columns=_columns(train, test),
        candidates=test.titles,
        movie_ids=test.movie_ids,
        data=describe_data(splits) | {"rating_threshold": liked_at, "sha256": hashes},
        in_training=None if files.train is None else _in_training(files.train, files.test, loader),
    )


def _in_training(train: Path, test: Path, loader: ExampleLoader) -> Bools:
    whole = loader.showing(None)
    return TrainedRows.of(row_keys(whole.open(train))).holds(row_keys(whole.open(test)))[0]


def _columns(train: SplitFeatures | None, test: SplitFeatures) -> dict[str, Floats]:
    unknown = np.full(len(test), np.nan)
    columns = {
        "history_length": test.history_length.astype(np.float64),
        "like_share": test.like_share,
        "user_count": unknown,
        "movie_count": unknown,
        "user_like_rate": unknown,
    }
    if train is None:
        return columns
    films = FilmNames.shared_by(train, test)
    if None not in (test.movie_ids if films.by_id else test.titles):
        columns["movie_count"] = Tally.of(films.of(train), train.labels).counts(films.of(test)).astype(np.float64)
    if None not in test.users and None not in train.users:
        users = Tally.of(user_names(train), train.labels)
        names = user_names(test)
        columns["user_count"] = users.counts(names).astype(np.float64)
        columns["user_like_rate"] = users.like_rates(names, float(train.labels.mean()))
    return columns


def _save(path: Path, found: RowFacts, reporter: Reporter) -> None:
    arrays: dict[str, NDArray[Any]] = {f"column/{name}": column for name, column in found.columns.items()}
    for key, splits in found.fitted.log_odds.items():
        arrays |= {f"baseline/{key}/{split}": log_odds for split, log_odds in splits.items()}
    arrays["labels"] = found.labels
    if found.eval_labels is not None:
        arrays["eval_labels"] = found.eval_labels
    if found.in_training is not None:
        arrays["in_training"] = found.in_training
    words = {
        "left_out": found.fitted.left_out,
        "candidates": found.candidates,
        "movie_ids": found.movie_ids,
        "data": found.data,
    }
    arrays["words"] = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        with beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        beside.replace(path)
    except OSError as error:
        reporter.note(f"The baselines are not kept for next time: {path.parent} cannot be written ({error.strerror}).")
    finally:
        _remove(beside)


def _load(path: Path) -> RowFacts | None:
    """None if there is no result of this key, or one that cannot be read (it is then computed again)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        words = json.loads(arrays.pop("words").tobytes())
        fitted: dict[str, dict[str, Floats]] = {}
        for name, array in arrays.items():
            if name.startswith("baseline/"):
                _, key, split = name.split("/")
                fitted.setdefault(key, {})[split] = array
        return RowFacts(
            fitted=Fitted(fitted, words["left_out"]),
            labels=arrays["labels"],
            eval_labels=arrays.get("eval_labels"),
            columns={name.removeprefix("column/"): a for name, a in arrays.items() if name.startswith("column/")},
            candidates=words["candidates"],
            movie_ids=words["movie_ids"],
            data=words["data"],
            in_training=arrays.get("in_training"),
        )
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is gone or closed to us; nothing of ours is in it
