"""Record how a comparison was made: enough to repeat it."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from movielora import __version__
from movielora.config import ResolvedConfig
from movielora.errors import shell_command
from movielora.evaluation.features.files import SplitFiles
from movielora.runs.paths import RunPaths
from movielora.storage.atomic import read_json

_PACKAGES = ("torch", "transformers", "peft", "trl", "numpy", "scikit-learn", "scipy")


def provenance(files: SplitFiles, adapter: Path | None, resolved: ResolvedConfig | None) -> dict[str, Any]:
    """Command, time, adapter, files, versions, seed and config; `run_dir` is the adapter's folder if it is a run."""
    run = None if adapter is None or not RunPaths(adapter).record.is_file() else adapter
    record = None if run is None else read_json(RunPaths(run).record)
    return {
        "command": this_command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "adapter": None if adapter is None else str(adapter),
        "run_dir": None if run is None else str(run.resolve()),
        "run_id": (record or {}).get("run_id"),
        "run_name": (record or {}).get("name"),
        "base": None if resolved is None else resolved.values.model_name_or_path,
        "files": {name: str(path) for name, path in files.present().items()},
        "versions": {"movielora": __version__, "python": platform.python_version(), **versions()},
        "seed": None if resolved is None else resolved.values.seed,
        "config": None if resolved is None else resolved.values.model_dump(mode="json", exclude_none=True),
    }


def versions() -> dict[str, str]:
    """Versions of the libraries that the figures depend on, by name."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # not needed for this comparison
    return found


def this_command() -> str:
    """The command that runs now, as a shell reads it."""
    return shell_command("movielora", *sys.argv[1:])
