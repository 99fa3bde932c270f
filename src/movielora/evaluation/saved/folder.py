"""The files of a comparison folder; their names are written here only.

predictions.jsonl       one line an example of the test file: the record, and the scores of each column by its name
predictions_eval.jsonl  the same for the evaluation split, from which temperatures and thresholds are fitted
comparison.json         every figure: what `compare --json` prints
rows.json               what else belongs to rows: slices, the baselines' scores; read by `analyze`
inputs.json             what the scores depend on
made_from.json          everything that the figures depend on, and the hashes of the files above
report.html             the page
.written.json           hashes of the files above and of exports, by which movielora knows its own
.overwriting/           the comparison that is to take the place of this one, until it is complete
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.errors import DataError

_CONTINUE = "run the same movielora compare again; it continues where it was"


@dataclass(frozen=True)
class ComparisonFolder:
    root: Path

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.jsonl"

    @property
    def eval_predictions(self) -> Path:
        return self.root / "predictions_eval.jsonl"

    def run_predictions(self, place: str) -> Path:
        """The scores of one of two runs, `place` "a" or "b", before they are joined into `predictions`."""
        return self.root / f"run_{place}.jsonl"

    def run_eval_predictions(self, place: str) -> Path:
        return self.root / f"run_{place}_eval.jsonl"

    @property
    def comparison(self) -> Path:
        return self.root / "comparison.json"

    @property
    def inputs(self) -> Path:
        """What the scores depend on; an interrupted comparison continues only if it is the same."""
        return self.root / "inputs.json"

    @property
    def made_from(self) -> Path:
        """What the finished comparison was made from; one that would be made from the same is not made again."""
        return self.root / "made_from.json"

    @property
    def overwriting(self) -> ComparisonFolder:
        """Where a comparison is made that replaces the one here when it is complete."""
        return ComparisonFolder(self.root / ".overwriting")

    @property
    def lock(self) -> Path:
        """Held by the comparison that is running here."""
        return self.root / ".compare.lock"

    @property
    def rows(self) -> Path:
        return self.root / "rows.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def written(self) -> Path:
        """Hashes of the results, the page and exports, by which movielora knows them again."""
        return self.root / ".written.json"

    def result_files(self) -> list[Path]:
        """What `compare` writes, there or not: first what makes it finished, last what proves whose it is."""
        runs = [each(place) for place in "ab" for each in (self.run_predictions, self.run_eval_predictions)]
        return [
            self.comparison, self.made_from, self.rows, self.predictions, self.eval_predictions, *runs, self.inputs
        ]  # fmt: skip

    def require_finished(self) -> None:
        """Raises DataError, in one sentence, if there is no finished comparison to read."""
        if not self.root.is_dir():
            raise DataError(f"{self.root} is not a folder", "movielora compare --config C writes a comparison folder")
        missing = [path.name for path in (self.predictions, self.comparison, self.rows) if not path.is_file()]
        if missing == [self.comparison.name, self.rows.name]:
            raise DataError(
                f"{self.root} holds an interrupted comparison: it has predictions.jsonl, but no comparison.json",
                _CONTINUE,
            )
        if missing:
            raise DataError(
                f"{self.root} holds no finished comparison: {' and '.join(missing)} is missing",
                "movielora compare --config C writes a comparison folder",
            )


def read_json_object(path: Path, next_step: str) -> dict[str, Any]:
    """The JSON object in `path`. Raises DataError if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}", next_step) from None
    if not isinstance(value, dict):
        raise DataError(f"{path} is not a JSON object", next_step)
    return value
