"""The files of a dataset's splits that a comparison reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from movielora.dataset.names import META
from movielora.storage.atomic import read_json

_LIKED_AT = 4.0


@dataclass(frozen=True)
class SplitFiles:
    """The file of each split; None if there is none."""

    test: Path
    train: Path | None = None
    eval: Path | None = None

    @property
    def folder(self) -> Path:
        return (self.train or self.test).parent

    def present(self) -> dict[str, Path]:
        """The files by split, those there are."""
        named = {"train": self.train, "eval": self.eval, "test": self.test}
        return {name: path for name, path in named.items() if path is not None}

    def rating_threshold(self) -> float:
        """The stars from which an answer is Yes, as `meta.json` beside the files says; 4 if it does not."""
        try:
            return float((read_json(self.folder / META) or {})["rating_threshold"])
        except (ValueError, KeyError, TypeError):
            return _LIKED_AT
