"""The recipe of `prepare`: ratings in, a dataset folder out."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movielora.dataset.columns import write_films, write_interactions
from movielora.dataset.films import Films, films_of
from movielora.dataset.folder import find_earlier, staged_folder
from movielora.dataset.info.registry import name_of_dataset, register_dataset
from movielora.dataset.meta import SCHEMA_VERSION, FileFacts
from movielora.dataset.names import FILMS, INTERACTIONS, META
from movielora.dataset.options import Export, PrepareOptions
from movielora.dataset.splits import Splits, split_examples
from movielora.dataset.timelines import Timelines, build_timelines, drop_repeats
from movielora.preparation.description import describe
from movielora.preparation.earlier import is_same_dataset
from movielora.preparation.export import export_json
from movielora.progress import SILENT, Reporter
from movielora.sources.catalogue import read_source
from movielora.storage.atomic import write_json_atomically
from movielora.storage.hashing import file_sha256


@dataclass(frozen=True)
class Prepared:
    """The dataset folder, its name for `dataset:` in a config, and the content of `meta.json`.

    `nothing_to_do`: the folder held this dataset already, and was left as it is.
    """

    output_dir: Path
    dataset: str
    meta: dict[str, Any]
    nothing_to_do: bool = False


def prepare(
    source: Path, output_dir: Path, options: PrepareOptions, reporter: Reporter = SILENT, *, overwrite: bool = False
) -> Prepared:
    """Read ratings from `source` and write the dataset folder `output_dir` and its entry beside it.

    The same source and options give the same bytes. Nothing is left half-written after an error or Ctrl-C. A folder
    that holds this dataset already is left as it is; one with a dataset of another source or of other options is
    replaced with `overwrite` only, and files that movielora did not write, or that were edited, are never replaced.

    Raises:
        DataError: the source is missing, holds a mistake, or a split would be empty.
        OutputError: the folder cannot be written, or holds what must not be replaced.
    """
    name_of_dataset(output_dir)  # a broken dataset_info.json is refused before the work and not after it
    earlier = find_earlier(output_dir, reporter)
    if earlier is not None and not overwrite and is_same_dataset(earlier, output_dir, source, options, reporter):
        dataset = register_dataset(output_dir, str(earlier.meta.get("export")), reporter)
        return Prepared(output_dir, dataset, earlier.meta, nothing_to_do=True)
    with staged_folder(output_dir, reporter) as folder:
        ratings = read_source(source, scratch=folder, reporter=reporter)
        with reporter.phase("Ordering timelines", len(ratings.frame), "ratings") as phase:
            films = films_of(ratings.frame, ratings.films)
            timelines, repeats = drop_repeats(build_timelines(ratings.frame, films))
            splits = split_examples(timelines, options)
            phase.advance(len(timelines.item))
        form = _export_form(splits, options, reporter)
        described = describe(source, ratings, timelines, films, splits, options, repeats_dropped=repeats)
        meta = {"schema_version": SCHEMA_VERSION} | described
        exported = {} if form == "none" else export_json(folder, form, timelines, films, splits, options, reporter)
        with reporter.phase("Writing columns", len(timelines.item), "ratings") as phase:
            _write_columns(folder, timelines, films, splits, options)
            phase.advance(len(timelines.item))
        meta |= {"export": form, **_files(folder, exported)}
        write_json_atomically(folder / META, meta, private=False, indent=2)
    dataset = register_dataset(output_dir, form, reporter)
    _warn(meta, reporter)
    return Prepared(output_dir, dataset, meta)


def _export_form(splits: Splits, options: PrepareOptions, reporter: Reporter) -> Export:
    examples = sum(map(len, splits.events.values()))
    form = options.export_form(examples)
    if form == "none" and options.export is None:
        reporter.note(f"No JSON files for other tools: {examples:,} examples are many (--export json writes them).")
    return form


def _write_columns(folder: Path, timelines: Timelines, films: Films, splits: Splits, options: PrepareOptions) -> None:
    write_interactions(folder / INTERACTIONS, timelines, films, splits, options.history_len)
    asked = splits.events["train"]
    liked = asked[timelines.rating[asked] >= options.rating_threshold]
    counts = [np.bincount(timelines.item[events], minlength=len(films)) for events in (asked, liked)]
    write_films(folder / FILMS, films, *counts)


def _files(folder: Path, exported: dict[str, FileFacts]) -> dict[str, Any]:
    """The size and hash of each file, and one hash of the columns, which is the same for every export."""
    paths = [folder / name for name in (INTERACTIONS, FILMS)]
    columns = {path.name: FileFacts(path.stat().st_size, file_sha256(path)) for path in paths}
    content = hashlib.sha256("".join(facts.sha256 for facts in columns.values()).encode()).hexdigest()
    return {"content_sha256": content, "files": {name: asdict(facts) for name, facts in (columns | exported).items()}}


def _warn(meta: dict[str, Any], reporter: Reporter) -> None:
    for split, rate in meta["positive_rate"].items():
        if rate in (0.0, 1.0):
            word = "Yes" if rate else "No"
            threshold = f"{meta['rating_threshold']:g}"
            reporter.warn(f"Every {split} answer is {word}: --rating-threshold {threshold} does not fit the ratings.")
