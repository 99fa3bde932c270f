"""How many optimiser steps a training has."""

from __future__ import annotations

import math

from movielora.config import Config


def planned_steps(config: Config, examples: int) -> int:
    """Optimiser steps of the whole training: what transformers will count."""
    if config.max_steps > 0:
        return config.max_steps
    return math.ceil(config.num_train_epochs * steps_per_epoch(config, examples))


def steps_per_epoch(config: Config, examples: int) -> int:
    micro_batches = math.ceil(examples / config.micro_batch)
    return max(1, math.ceil(micro_batches / config.gradient_accumulation_steps))
