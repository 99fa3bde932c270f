"""Which files a config means: training, evaluation and test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.dataset.meta import is_prepared, read_meta
from movielora.dataset.names import DATASET_INFO, TEST
from movielora.dataset.registry import read_entries
from movielora.dataset.splits import SPLITS
from movielora.errors import ConfigError, DataError

_ENTRY = "write it as in LLaMA-Factory, or let movielora prepare write it"
# Spelled out, because a config may ask for the best model or for early stopping, which need evaluations.
_NO_EVALUATION = "--set eval_strategy=no --set load_best_model_at_end=false --set early_stopping_patience=null"
_PREPARE = "make it with: movielora prepare --source ratings/ --output-dir data/movielens_qwen3"


@dataclass(frozen=True)
class TrainingSplits:
    """The files, or splits of a prepared dataset, that a training reads; `evaluation` is None without evaluation."""

    train: Path
    evaluation: Path | None


@dataclass(frozen=True)
class PreparedSplit:
    """One split of a prepared dataset, which `path` names as its exported file is or would be named."""

    folder: Path
    split: str
    path: Path

    def is_edited(self) -> bool:
        """Whether the exported file is there and no longer what `prepare` wrote. Raises DataError as `read_meta`."""
        from movielora.dataset.dataset import is_edited

        facts = read_meta(self.folder).files.get(self.path.name)
        return self.path.is_file() and (facts is None or is_edited(self.path, facts))


def prepared_split(path: Path) -> PreparedSplit | None:
    """The split of a prepared dataset that `path` names; None for any other file.

    `X/train.json`, `X/train.jsonl` and `X/train` name the training split of a dataset folder X, the file there or not;
    `X/test_raw.jsonl` and `X/test` the test split.
    """
    split = {TEST: "test"}.get(path.name) or (path.stem if path.suffix in ("", ".json", ".jsonl") else "")
    if split not in SPLITS or not is_prepared(path.parent):
        return None
    return PreparedSplit(path.parent, split, path)


def is_there(path: Path) -> bool:
    """Whether `path` is a file, or names a split of a prepared dataset."""
    return os.path.isfile(path) or prepared_split(path) is not None  # noqa: PTH113 (Path's raises if a name is too long)


def split_beside(path: Path, split: str) -> Path | None:
    """The file, or split of a prepared dataset, that is named SPLIT.json or SPLIT.jsonl in the folder of `path`."""
    return next((found for suffix in ("json", "jsonl") if is_there(found := path.parent / f"{split}.{suffix}")), None)


def find_dataset(resolved: ResolvedConfig) -> TrainingSplits:
    """The splits that training reads. Raises DataError naming what is missing and where it was looked for."""
    return TrainingSplits(find_train_file(resolved), find_eval_file(resolved))


def find_train_file(resolved: ResolvedConfig) -> Path:
    """`train_file`, else `dataset` in `dataset_info.json`, else by name. Raises DataError if it is missing."""
    config = resolved.values
    if config.train_file:
        return _existing(resolved.locate(config.train_file), "train_file")
    return _from_dataset(resolved, config.dataset, "file_name", "train")


def find_eval_file(resolved: ResolvedConfig) -> Path | None:
    """`eval_file`, else `eval_dataset`, else what belongs to the training file; None if nothing is evaluated.

    Raises DataError or ConfigError if there should be one and is none.
    """
    config = resolved.values
    if config.eval_file:
        return _existing(resolved.locate(config.eval_file), "eval_file")
    if config.eval_strategy == "no":
        return None
    if config.eval_dataset:
        return _from_dataset(resolved, config.eval_dataset, "file_name", "eval")
    if config.train_file:
        return _eval_file_beside(find_train_file(resolved))
    return _from_dataset(resolved, config.dataset, "file_name_eval", "eval")


def find_test_file(resolved: ResolvedConfig) -> Path:
    """`inference.test_file`, else `test_raw.jsonl` beside the training file. Raises DataError if it is missing."""
    named = resolved.values.inference.test_file
    if named:
        return _existing(resolved.locate(named), "inference.test_file")
    path = find_train_file(resolved).parent / TEST
    if not is_there(path):
        raise DataError(f"there is no test file {path}", "name one: --test-file FILE")
    return path


def _existing(path: Path, key: str) -> Path:
    if not os.path.exists(path) and not is_there(path):  # noqa: PTH110 (Path's raises if a name is too long)
        raise DataError(f"`{key}`: {path} does not exist", _PREPARE)
    return path


def _eval_file_beside(train: Path) -> Path:
    """eval.json or eval.jsonl in the folder of a training file that no evaluation file is named with."""
    if (found := split_beside(train, "eval")) is not None:
        return found
    raise DataError(
        f"`train_file: {train}` has no eval.json beside it",
        f"name one: --set eval_file=FILE, or train without: {_NO_EVALUATION}",
    )


def _from_dataset(resolved: ResolvedConfig, dataset: str, field: str, split: str) -> Path:
    info = resolved.locate(f"{resolved.values.dataset_dir}/{DATASET_INFO}")
    folder = dataset.removesuffix("_train").removesuffix("_eval")
    if info.is_file():
        entries = read_entries(info)
        if dataset in entries:
            return _named_in_entry(info, dataset, entries[dataset], field)
        if folder in entries:  # `X_train` may also mean both files of the entry `X`
            field = "file_name" if split == "train" else "file_name_eval"
            return _named_in_entry(info, folder, entries[folder], field)
    for name in dict.fromkeys((dataset, folder)):
        for suffix in ("json", "jsonl"):
            path = resolved.locate(f"{resolved.values.dataset_dir}/{name}/{split}.{suffix}")
            if is_there(path):
                return path
    where = f"{info} has no entry `{dataset}`" if info.is_file() else f"there is no {info}"
    raise DataError(
        f"dataset `{dataset}` is not there: {where}, and no {resolved.values.dataset_dir}/{folder}/{split}.json",
        "movielora demo makes it" if folder == "synthetic" else _PREPARE,
    )


def _named_in_entry(info: Path, dataset: str, entry: Any, field: str) -> Path:
    if not isinstance(entry, dict):
        raise DataError(f"{info}: entry `{dataset}` must be an object with `file_name`", _ENTRY)
    name = entry.get(field)
    if not isinstance(name, str):
        if field == "file_name_eval":
            raise ConfigError(
                f"{info}: entry `{dataset}` names no `file_name_eval`",
                f"name one: --set eval_dataset=NAME or --set eval_file=FILE, or train without: {_NO_EVALUATION}",
            )
        raise DataError(f"{info}: entry `{dataset}` has no `{field}`", _ENTRY)
    path = info.parent / name
    if not is_there(path):
        raise DataError(f"{info}: entry `{dataset}` names {path}, which does not exist", _PREPARE)
    return path
