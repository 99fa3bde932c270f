"""What of a base is here, and what is still to be downloaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from movielora.model import tiny
from movielora.model.estimates.known_models import KNOWN_MODELS
from movielora.model.estimates.memory import Shape, parameters
from movielora.model.hub import bytes_in_cache, cache_folder, is_cached

_BYTES_OF_A_WEIGHT = 2


@dataclass(frozen=True)
class BaseDownload:
    """What fetching a base takes, in bytes. `exact` is False if the size was estimated from the model's shape.

    A local folder and the embedded base need nothing; `cache` is where a download is kept, empty for those two.
    """

    name: str
    total_bytes: int = 0
    here_bytes: int = 0
    exact: bool = True
    cache: str = ""

    @property
    def missing_bytes(self) -> int:
        return max(0, self.total_bytes - self.here_bytes)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "missing_bytes": self.missing_bytes}


def plan_download(name: str, located: Path, shape: Shape) -> BaseDownload:
    """What of the base `name`, looked for at `located`, is still to be fetched; the hub is not asked."""
    if name == tiny.NAME or located.is_dir():
        return BaseDownload(name)
    known = KNOWN_MODELS.get(name)
    total = known.download_bytes if known else parameters(shape) * _BYTES_OF_A_WEIGHT
    here = total if is_cached(name) else min(total, bytes_in_cache(name))
    return BaseDownload(name, total, here, known is not None, str(cache_folder()))
