"""Compare what `prepare` is asked for with the dataset that its folder holds already."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from movielora.dataset.folder import EarlierDataset
from movielora.dataset.meta import recorded_options
from movielora.dataset.options import PrepareOptions
from movielora.errors import OutputError
from movielora.progress import Reporter
from movielora.sources.catalogue import hash_source

_KEEP_OR_REPLACE = "--overwrite replaces it, another --output-dir keeps both."


def is_same_dataset(
    earlier: EarlierDataset, output_dir: Path, source: Path, options: PrepareOptions, reporter: Reporter
) -> bool:
    """Whether the folder holds the dataset of this source and these options; False if a file of it is missing.

    Raises:
        OutputError: it holds the dataset of another source, of other options, or of an earlier version.
        DataError: the source is missing or cannot be read.
    """
    if earlier.meta.get("schema_version", 1) == 1:
        raise OutputError(f"{output_dir} was prepared by an earlier movielora, without columns.", _KEEP_OR_REPLACE)
    if changed := _changed_options(earlier, options):
        raise OutputError(f"{output_dir} was prepared with other settings: {', '.join(changed)}.", _KEEP_OR_REPLACE)
    former = earlier.meta.get("source")
    former_hashes = former.get("sha256") if isinstance(former, dict) else None
    if former_hashes != hash_source(source, reporter):
        raise OutputError(f"{output_dir} was prepared from other ratings than those of {source}.", _KEEP_OR_REPLACE)
    return earlier.is_whole


def _changed_options(earlier: EarlierDataset, options: PrepareOptions) -> list[str]:
    """Each option whose value is another than that of the earlier dataset, as `--seed 13 and not 5`."""
    former = recorded_options(earlier.meta)
    pairs = {
        field.name: (former.get(field.name, field.default), getattr(options, field.name))
        for field in fields(PrepareOptions)
        if field.name != "export"
    }
    counts = earlier.meta.get("counts")
    examples = sum(counts.values()) if isinstance(counts, dict) else 0
    pairs["export"] = earlier.meta.get("export"), options.export_form(examples)
    return [
        f"--{name.replace('_', '-')} {_shown(then)} and not {_shown(now)}"
        for name, (then, now) in pairs.items()
        if then != now
    ]


def _shown(value: object) -> str:
    return "not given" if value is None else str(value)
