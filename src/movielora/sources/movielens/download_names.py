"""What can be fetched from GroupLens, without a heavy import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Download = Literal["ml-latest-small", "ml-1m", "ml-25m", "ml-32m"]
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
DOWNLOAD_DIR = Path(".cache/downloads")
