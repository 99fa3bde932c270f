"""Where benchmarks find their data, keep their work and write their reports."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MOVIELORA_SHARED") or PROJECT.parent / "shared")
CONFIG = PROJECT / "configs" / "qwen3_movielens_qlora.yaml"
WORK = PROJECT / ".cache" / "bench"
RESULTS = PROJECT / "bench" / "results"
# Of runs that are not the standard work: quick ones, and ones with other options.
OTHER_RESULTS = WORK / "other"


def environment() -> dict[str, str]:
    """Of child processes: the runs of a benchmark are not put on the list of the user's runs."""
    return {**os.environ, "XDG_STATE_HOME": str(WORK / "state")}


def data_name() -> str:
    """What the ratings are of: the real ones where the shared folder is, else synthetic."""
    return "ml-latest-small" if (SHARED / "ml-latest-small").is_dir() else "synthetic"
