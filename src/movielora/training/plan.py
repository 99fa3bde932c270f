"""What a training would do, without doing it: `train --dry-run`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movielora.config import ResolvedConfig
from movielora.dataset.find import TrainingSplits, find_dataset
from movielora.errors import ModelError, OutputError, RequestError
from movielora.examples.load import ExampleLoader
from movielora.machine.gpu import visible_gpus
from movielora.machine.process_settings import settings_undone
from movielora.model.base import require_base
from movielora.model.estimates.memory import find_shape, setup_here
from movielora.progress import SILENT, Reporter
from movielora.runs import run_guard
from movielora.runs.paths import RunPaths
from movielora.runs.run_guard import StartMode
from movielora.training.loop.batch import settle_batch
from movielora.training.outlook import Outlook, look_ahead, work_of


@dataclass(frozen=True)
class TrainingPlan:
    """`values` maps every dotted key to its value and origin (`default`, `file`, `--set`). `problem`: why the training
    would not start: the base is not here and cannot be fetched, or its folder is taken."""

    values: dict[str, tuple[Any, str]]
    notes: list[str]
    files: TrainingSplits
    examples: int
    steps: int
    effective_batch_size: int
    micro_batch: int
    outlook: Outlook
    problem: RequestError | None = None

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
            "outlook": self.outlook.to_json(),
        }


@settings_undone()
def plan_training(resolved: ResolvedConfig, reporter: Reporter = SILENT, *, mode: StartMode = "new") -> TrainingPlan:
    """Read the data, look for the base and at the run's folder, count the steps, write nothing.

    Raises what `train` would raise about config and data. What it would refuse of base and folder is the plan's
    `problem`; the base's is raised if without the base there is no plan.
    """
    files = find_dataset(resolved)
    loader = ExampleLoader(resolved.values.prompt_history_len, reporter, files.columns)
    train = loader.open(files.train)
    evaluation = loader.open(files.evaluation) if files.evaluation else None
    without_base, without_folder = _base_problem(resolved), _folder_problem(resolved, mode)
    try:
        shape = find_shape(resolved)
    except ModelError as error:
        raise without_base or error from None
    resolved = settle_batch(resolved, None, SILENT)
    config, gpus = resolved.values, visible_gpus()
    outlook = look_ahead(resolved, work_of(config, train, evaluation), shape, setup_here(config, gpus), gpus)
    return TrainingPlan(
        resolved.with_origins(),
        resolved.no_effect_notes(),
        files,
        outlook.work.examples,
        outlook.steps,
        config.rows_per_step,
        config.micro_batch,
        outlook,
        without_base or without_folder,
    )


def _base_problem(resolved: ResolvedConfig) -> ModelError | None:
    name = resolved.values.model_name_or_path
    try:
        require_base(name, resolved.locate(name))
    except ModelError as error:
        return error
    return None


def _folder_problem(resolved: ResolvedConfig, mode: StartMode) -> OutputError | None:
    folder = os.path.abspath(resolved.values.output_dir)  # noqa: PTH100 - keeps symlinks, as the run's session does
    try:
        run_guard.refuse_start(RunPaths(Path(folder)), mode)
    except OutputError as error:
        return error
    return None
