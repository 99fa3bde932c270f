"""The files of a dataset's splits that a comparison reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

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
            meta = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
            return float(meta["rating_threshold"])
        except (OSError, ValueError, KeyError, TypeError):
            return _LIKED_AT
