"""One small dataset and one small training, shared by the tests that look at what a training leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movielora.config import ResolvedConfig, resolve_config
from movielora.dataset.options import PrepareOptions
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT
from movielora.sources.synthetic import SyntheticSize, write_synthetic_movielens

TINY = Path(__file__).parents[2] / "configs" / "tiny_cpu.yaml"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `data` folder with the dataset `synthetic`: 40 invented users, 4 films of history."""
    root = tmp_path_factory.mktemp("road")
    size = SyntheticSize(users=40, films=120, least_ratings=12, mean_ratings=30)
    write_synthetic_movielens(root / "ratings", size)
    prepare(root / "ratings", root / "data" / "synthetic", PrepareOptions(history_len=4), SILENT)
    return root / "data"


@pytest.fixture(scope="session")
def tiny_config(tiny_data: Path) -> Callable[..., ResolvedConfig]:
    """The tiny config on `tiny_data`; keyword arguments are overrides."""

    def make(**overrides: Any) -> ResolvedConfig:
        settings = {
            "dataset_dir": tiny_data,
            "preprocessing_cache_dir": tiny_data.parent / "cache" / "preprocessed",
            "output_dir": tiny_data.parent / "run",
            "per_device_train_batch_size": 8,
            "max_steps": 30,
            "eval_steps": 10,
            "save_steps": 10,
            "logging_steps": 1,
            "enable_liger_kernel": False,  # a machine that has Liger computes what the others do
            **overrides,
        }
        return resolve_config(
            TINY,
            [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()],
        )

    return make


@pytest.fixture(scope="session")
def trained(tiny_config: Callable[..., ResolvedConfig]) -> Any:
    """A finished training of 30 steps: (resolved config, result)."""
    from movielora.training.train import TrainRequest, train_run

    resolved = tiny_config()
    return resolved, train_run(TrainRequest(resolved, argv=("movielora", "train")), SILENT)
