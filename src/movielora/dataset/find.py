"""Which files a config means: training, evaluation and test."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.dataset.info.entry import WRITE_ENTRY, DatasetEntry, read_entry
from movielora.dataset.info.file_columns import FileColumns, columns_of_entries
from movielora.dataset.info.registry import read_entries
from movielora.dataset.meta import is_prepared, read_meta
from movielora.dataset.names import DATASET_INFO, TEST
from movielora.dataset.splits import SPLITS
from movielora.errors import ConfigError, DataError, shell_command

# Spelled out, because a config may ask for the best model or for early stopping, which need evaluations.
_NO_EVALUATION = "--set eval_strategy=no --set load_best_model_at_end=false --set early_stopping_patience=null"
_SHOWN = 5
_PREPARE = "make it with: movielora prepare --source ratings/ --output-dir data/movielens_qwen3"


@dataclass(frozen=True)
class TrainingSplits:
    """The files, or splits of a prepared dataset, that a training reads; `evaluation` is None without evaluation, and
    `columns` says which fields of their records are read."""

    train: Path
    evaluation: Path | None
    columns: FileColumns = field(default_factory=FileColumns)


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
    return TrainingSplits(find_train_file(resolved), find_eval_file(resolved), find_columns(resolved))


def find_columns(resolved: ResolvedConfig) -> FileColumns:
    """Which fields of their records the files of a config are read by, as the entries of `dataset_info.json` say.

    Raises DataError if an entry that the config names holds a field that is not honoured.
    """
    info = _info_file(resolved)
    if not info.is_file():
        return FileColumns()
    config, entries = resolved.values, read_entries(info)
    train = None if config.train_file else _entry_name(entries, config.dataset)
    evaluation = _entry_name(entries, config.eval_dataset) if config.eval_dataset and not config.eval_file else None
    meant = {name: read_entry(info, name, entries[name]) for name in (train, evaluation) if name is not None}
    others = [found for name in entries if name not in meant and (found := _sound_entry(info, name, entries[name]))]
    if evaluation is not None and train is not None:
        meant[train] = replace(meant[train], file_name_eval=None)  # `eval_dataset` is what is evaluated on
    return columns_of_entries(info, meant.values(), others, meant[train].columns if train is not None else None)


def _sound_entry(info: Path, name: str, entry: Any) -> DatasetEntry | None:
    """An entry that the config does not name; None if it is one that movielora cannot read."""
    try:
        return read_entry(info, name, entry)
    except DataError:
        return None


def _info_file(resolved: ResolvedConfig) -> Path:
    return resolved.locate(f"{resolved.values.dataset_dir}/{DATASET_INFO}")


def _entry_name(entries: dict[str, Any], dataset: str) -> str | None:
    """The entry that `dataset` means: that of its name, else of its name without `_train` or `_eval`."""
    return next((name for name in (dataset, _folder_name(dataset)) if name in entries), None)


def _folder_name(dataset: str) -> str:
    return dataset.removesuffix("_train").removesuffix("_eval")


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
    info, folder = _info_file(resolved), _folder_name(dataset)
    if info.is_file():
        entries = read_entries(info)
        name = _entry_name(entries, dataset)
        if name is not None and name != dataset:  # `X_train` may also mean both files of the entry `X`
            field = "file_name" if split == "train" else "file_name_eval"
        if name is not None:
            return _named_in_entry(info, name, entries[name], field)
    for name in dict.fromkeys((dataset, folder)):
        for suffix in ("json", "jsonl"):
            path = resolved.locate(f"{resolved.values.dataset_dir}/{name}/{split}.{suffix}")
            if is_there(path):
                return path
    where = f"{info} has no entry `{dataset}`" if info.is_file() else f"there is no {info}"
    raise DataError(
        f"dataset `{dataset}` is not there: {where}, and no {resolved.values.dataset_dir}/{folder}/{split}.json",
        "movielora demo makes it" if folder == "synthetic" else _instead(dataset, _known_names(info)),
    )


def _known_names(info: Path) -> list[str]:
    """What `dataset` can be called: the entries of `info`, and prepared folders beside it that have none."""
    entries = [*read_entries(info)] if info.is_file() else []
    folders = [found.name for found in sorted(info.parent.glob("[!.]*")) if found.is_dir() and is_prepared(found)]
    return entries + [f"{name}_train" for name in folders if not {name, f"{name}_train"} & {*entries}]


def _instead(dataset: str, known: list[str]) -> str:
    if "," in dataset:
        return "one dataset is read, not a list: name one, or make one of all ratings with movielora prepare"
    if not known:
        return _PREPARE
    close = difflib.get_close_matches(dataset, known, n=1)
    if close:
        return f"did you mean --set {shell_command(f'dataset={close[0]}')}?"
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"there are: {', '.join(known[:_SHOWN])}{more}; --set dataset=NAME"


def _named_in_entry(info: Path, dataset: str, entry: Any, field: str) -> Path:
    found = read_entry(info, dataset, entry)
    name = found.file_name if field == "file_name" else found.file_name_eval
    if name is None:
        if field == "file_name_eval":
            raise ConfigError(
                f"{info}: entry `{dataset}` names no `file_name_eval`",
                f"name one: --set eval_dataset=NAME or --set eval_file=FILE, or train without: {_NO_EVALUATION}",
            )
        raise DataError(f"{info}: entry `{dataset}` has no `{field}`", WRITE_ENTRY)
    path = info.parent / name
    if path.is_dir():
        raise DataError(f"{info}: entry `{dataset}` names {path}, which is a folder", "name the file in it")
    if not is_there(path):
        raise DataError(f"{info}: entry `{dataset}` names {path}, which does not exist", _PREPARE)
    return path
