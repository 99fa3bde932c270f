"""What a training leaves behind, as plain data: light to import, so that it can be printed without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainResult:
    """`reason`: why it was over before its last step, or "". `metrics` are those of the saved adapter, read back from
    disk; `seconds` is the whole run. `rates`, of the training without its evaluations: `examples_per_second`,
    `tokens_per_second` (no padding), `flop_utilisation` (share of the peak measured here); empty if no step was left
    to do."""

    run_dir: Path
    state: str
    reason: str
    global_step: int
    best_checkpoint: Path | None
    metrics: dict[str, float]
    seconds: float
    rates: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "run_dir": str(self.run_dir),
            "state": self.state,
            "reason": self.reason,
            "global_step": self.global_step,
            "best_checkpoint": str(self.best_checkpoint) if self.best_checkpoint else None,
            "metrics": self.metrics,
            "seconds": self.seconds,
            **self.rates,
        }
