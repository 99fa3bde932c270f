"""What a training would do, without doing it: `train --dry-run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from movielora.config import ResolvedConfig
from movielora.dataset.find import TrainingSplits, find_dataset
from movielora.examples.load import ExampleLoader
from movielora.progress import SILENT, Reporter
from movielora.training.loop.batch import settle_batch
from movielora.training.steps import planned_steps


@dataclass(frozen=True)
class TrainingPlan:
    """`values` maps every dotted key to its value and origin (`default`, `file`, `--set`)."""

    values: dict[str, tuple[Any, str]]
    notes: list[str]
    files: TrainingSplits
    examples: int
    steps: int
    effective_batch_size: int

    def to_json(self) -> dict[str, Any]:
        return {
            "config": {key: value for key, (value, _) in self.values.items()},
            "origins": {key: origin for key, (_, origin) in self.values.items()},
            "notes": self.notes,
            "train_file": str(self.files.train),
            "eval_file": str(self.files.evaluation) if self.files.evaluation else None,
            "examples": self.examples,
            "steps": self.steps,
            "effective_batch_size": self.effective_batch_size,
        }


def plan_training(resolved: ResolvedConfig, reporter: Reporter = SILENT) -> TrainingPlan:
    """Read the data, count the steps, write nothing. Raises what `train` would raise about config and data."""
    resolved = settle_batch(resolved, None, SILENT)
    config = resolved.values
    files = find_dataset(resolved)
    loader = ExampleLoader(config.prompt_history_len, reporter, files.columns)
    count = len(loader.open(files.train))
    if files.evaluation:
        loader.open(files.evaluation)
    examples = min(count, config.max_samples or count)
    return TrainingPlan(
        resolved.with_origins(),
        resolved.no_effect_notes(),
        files,
        examples,
        planned_steps(config, examples),
        config.rows_per_step,
    )
