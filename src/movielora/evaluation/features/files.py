"""The files of a dataset's splits that a comparison reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from movielora.dataset.names import META
from movielora.progress import SILENT, Reporter
from movielora.storage.atomic import read_json
from movielora.storage.fields import number

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

    def rating_threshold(self, reporter: Reporter = SILENT) -> float:
        """The stars from which a film counts as liked, as the `meta.json` beside a split says: train, test or eval.

        Warns if they differ, and names the default of 4 if there is none.
        """
        present = self.present()
        found = {split: _threshold_beside(present[split]) for split in ("train", "test", "eval") if split in present}
        known = {split: stars for split, stars in found.items() if stars is not None}
        if not known:
            reporter.note(
                f"No {META} beside the splits has a rating_threshold: a film counts as liked from {_LIKED_AT:g} stars"
            )
            return _LIKED_AT
        split, stars = next(iter(known.items()))
        others = [f"{name} from {other:g}" for name, other in known.items() if other != stars]
        if others:
            reporter.warn(f"films count as liked from {stars:g} stars, as in {split}, although in {', '.join(others)}")
        return stars


def _threshold_beside(path: Path) -> float | None:
    return number((read_json(path.parent / META) or {}).get("rating_threshold"))
