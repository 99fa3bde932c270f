"""The loss between two logs: transformers' own figure to the last bit, and across a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from movielora.progress import SILENT
from movielora.training.loop.logged_loss import UnloggedLoss
from movielora.training.loop.trainer import AnswerTrainer
from movielora.training.train import TrainRequest, train_run


def test_every_logged_loss_is_the_one_that_transformers_logs(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    """A real training that logs every third step; what the library hands to `log` is compared with what is logged."""
    theirs, ours = [], []
    real = AnswerTrainer.log

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        given = logs.get("loss")
        real(self, logs, start_time)
        if given is not None:
            theirs.append(given)
            ours.append(logs["loss"])

    monkeypatch.setattr(AnswerTrainer, "log", log)
    train_run(TrainRequest(tiny_config(output_dir=tmp_path / "run", logging_steps=3, max_steps=10)), SILENT)
    assert len(ours) == 3
    assert ours == theirs


def test_the_sum_and_its_mean() -> None:
    losses = [torch.tensor(value) for value in (0.7, 0.1, 0.33, 1e-4, 2.5, 0.6)]
    theirs, ours = torch.tensor(0.0), UnloggedLoss()
    for step, loss in enumerate(losses):
        theirs += loss
        ours.add(loss, step)
    assert ours.total == theirs.item()
    assert ours.take_mean(6) == theirs.item() / 6
    resumed = UnloggedLoss(total=1.5, logged_step=4)
    resumed.add(torch.tensor(0.5), 6)
    assert (resumed.logged_step(7), resumed.take_mean(7)) == (4, 2.0 / 3)
    assert (resumed.total, resumed.logged_step(7)) == (0.0, 7)
    assert UnloggedLoss().logged_step(5) == 5  # a resume of another program's checkpoint that has done no step yet
