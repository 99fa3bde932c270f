"""Is a finished comparison still of the adapter that is there? A run that was trained again has another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movielora.errors import shell_command
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.runs.lookup.find import call_name
from movielora.runs.paths import RunPaths
from movielora.storage import fields
from movielora.storage.atomic import read_json
from movielora.storage.hashing import file_sha256


def former_adapter(folder: ComparisonFolder, comparison: dict[str, Any]) -> str:
    """A sentence and the next command if an adapter was trained again since it was compared; "" if not, or if that is
    not known. Raises DataError if an adapter cannot be read."""
    hashes = fields.mapping(read_json(folder.inputs)).get("adapter_weights")
    adapters = _adapters(folder, comparison)
    if not isinstance(hashes, list) or len(hashes) != len(adapters):
        return ""
    weights = [RunPaths(adapter).adapter_weights for adapter in adapters]
    changed = [
        adapter
        for adapter, file, compared in zip(adapters, weights, hashes, strict=True)
        if file.is_file() and file_sha256(file) != compared
    ]
    if not changed:
        return ""
    named = " and ".join(str(adapter) for adapter in changed)
    return (
        f"{folder.root} is of a former adapter: {named} {'have' if len(changed) > 1 else 'has'} another one now, so "
        f"these figures are not of it; {_again(folder, adapters)} measures it"
    )


def _adapters(folder: ComparisonFolder, comparison: dict[str, Any]) -> list[Path]:
    """The adapters that were compared, in the order of inputs.json."""
    made = fields.mapping(comparison.get("provenance"))
    last = made.get("run_dir") or made.get("adapter")
    source = fields.mapping(fields.mapping(read_json(folder.made_from)).get("from"))
    of_kind = fields.mapping(source.get("of_kind"))
    recorded = [of_kind[role] for role in ("reference", "candidate", "adapter") if role in of_kind] or [last]
    return [_now_at(Path(each), folder, comparison) for each in recorded if isinstance(each, str)]


def _now_at(adapter: Path, folder: ComparisonFolder, comparison: dict[str, Any]) -> Path:
    """The adapter's folder, found beside a comparison that was made inside it: both may have been moved or copied."""
    around = folder.root.absolute().parent
    made_inside = Path(str(comparison.get("output_dir", ""))).parent.name == adapter.name
    return around if made_inside and RunPaths(around).adapter_weights.is_file() else adapter


def _again(folder: ComparisonFolder, adapters: list[Path]) -> str:
    named = [call_name(each, each.name) for each in adapters]
    by_default = folder.root.absolute() == adapters[-1].absolute() / "comparison" and len(adapters) == 1
    where = [] if by_default else ["--output-dir", str(folder.root)]
    return shell_command("movielora", "compare", *named, *where, "--overwrite")
