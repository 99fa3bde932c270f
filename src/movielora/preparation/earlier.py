"""Compare what `prepare` is asked for with the dataset that its folder holds already."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from movielora.dataset.folder import EarlierDataset
from movielora.dataset.meta import recorded_options
from movielora.dataset.options import PrepareOptions
from movielora.errors import OutputError
from movielora.progress import Reporter
from movielora.sources.catalogue import hash_source
from movielora.storage.fields import count, mapping

_KEEP_OR_REPLACE = "--overwrite replaces it, another --output-dir keeps both."


def is_same_dataset(
    earlier: EarlierDataset, output_dir: Path, source: Path, options: PrepareOptions, reporter: Reporter
) -> bool:
    """Whether the folder holds the dataset of this source and these options; False if a file of it is missing.

    Raises:
        OutputError: it holds the dataset of another source, of other options, or of an earlier version, one that has
            repeated ratings among them.
        DataError: the source is missing or cannot be read.
    """
    if earlier.meta.get("schema_version", 1) == 1:
        raise OutputError(f"{output_dir} was prepared by an earlier movielora, without columns.", _KEEP_OR_REPLACE)
    if _kept_repeats(earlier):
        problem = f"{output_dir} was prepared by an earlier movielora, which kept a user's earlier ratings of a film"
        raise OutputError(f"{problem}: {earlier.meta['ratings_repeated']:,} of them.", _KEEP_OR_REPLACE)
    if changed := _changed_options(earlier, options):
        raise OutputError(f"{output_dir} was prepared with other settings: {', '.join(changed)}.", _KEEP_OR_REPLACE)
    former = mapping(earlier.meta.get("source"))
    if other := _other_ratings(former, output_dir, source, hash_source(source, reporter)):
        raise OutputError(other, _KEEP_OR_REPLACE)
    return earlier.is_whole


def _other_ratings(former: dict[str, Any], output_dir: Path, source: Path, now: dict[str, str]) -> str | None:
    """How the source differs from the `former` one of meta.json, in a sentence; None if its hashes are the same."""
    hashes = mapping(former.get("sha256"))
    if hashes == now:
        return None
    differing = [name for name in sorted({*hashes, *now}) if hashes.get(name) != now.get(name)]
    if former.get("path") == str(source):
        return f"{', '.join(differing)} of {source} changed since {output_dir} was prepared from it."
    return f"{output_dir} was prepared from other ratings than those of {source}."


def _kept_repeats(earlier: EarlierDataset) -> bool:
    """Whether the dataset holds ratings that are dropped now; its meta.json then counts them under another key."""
    repeated = count(earlier.meta.get("ratings_repeated"))
    return bool(repeated) and "ratings_repeated_dropped" not in earlier.meta


def _changed_options(earlier: EarlierDataset, options: PrepareOptions) -> list[str]:
    """Each option whose value is another than that of the earlier dataset, as `--seed 13 and not 5`."""
    former = recorded_options(earlier.meta)
    pairs = {
        field.name: (former.get(field.name, field.default), getattr(options, field.name))
        for field in fields(PrepareOptions)
        if field.name != "export"
    }
    examples = sum(count(number) or 0 for number in mapping(earlier.meta.get("counts")).values())
    pairs["export"] = earlier.meta.get("export"), options.export_form(examples)
    return [
        f"--{name.replace('_', '-')} {_shown(then)} and not {_shown(now)}"
        for name, (then, now) in pairs.items()
        if then != now
    ]


def _shown(value: object) -> str:
    return "not given" if value is None else str(value)
