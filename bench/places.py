"""Where benchmarks find their data, keep their work and write their reports."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MOVIELORA_SHARED") or PROJECT.parent / "shared")
WORK = PROJECT / ".cache" / "bench"
RESULTS = PROJECT / "bench" / "results"
QUICK_RESULTS = WORK / "quick"
