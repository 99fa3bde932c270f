"""The options of `prepare`, their defaults and their ranges, without a heavy import."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from movielora.errors import ConfigError
from movielora.sources.titles import Titles

Split = Literal["user-timeline", "global-time"]
Export = Literal["json", "jsonl", "none"]
# An example is 1 kB of JSON and 10 bytes of columns; a larger dataset is exported only on request.
MOST_EXPORTED = 1_000_000


@dataclass(frozen=True)
class PrepareOptions:
    """What `prepare` makes of the ratings. Raises ConfigError naming every option that is out of its range."""

    history_len: int = 15
    """Films shown before the candidate; a user needs more ratings than this to give an example."""
    rating_threshold: float = 4.0
    """Stars from which the answer is Yes."""
    val_ratio: float = 0.05
    """Share of the examples for evaluation during training."""
    test_ratio: float = 0.1
    """Share of the examples for the final test."""
    split: Split = "user-timeline"
    """`user-timeline`: each user's last examples are held out; `global-time`: one moment cuts all users."""
    max_per_user: int | None = None
    """Newest examples kept of a user, before the split; none keeps all."""
    max_eval: int | None = None
    """Evaluation examples kept, by a seeded sample; none keeps all."""
    seed: int = 13
    """Seed of that sample; nothing else is random."""
    export: Export | None = None
    """JSON files for other tools, beside the columns. `json`: an array with one record a line; `jsonl`: the records
    only; `none`: no JSON. Not given: `json` up to a million examples, else none."""
    titles: Titles = "natural"
    """How prompts and the export write titles: `The Matrix (1999)`, or `as_given` in the ratings. The columns keep them
    as given."""

    def export_form(self, examples: int) -> Export:
        """The form in which a dataset of this many examples is exported: as asked for, else by its size."""
        return self.export or ("json" if examples <= MOST_EXPORTED else "none")

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise ConfigError(
                "The options of prepare are not valid.", "movielora prepare --help shows each option.", problems
            )


def _problems(options: PrepareOptions) -> list[str]:
    """Every option out of its range, each as one line."""
    found = []
    if options.history_len < 1:
        found.append(f"--history-len is {options.history_len}: it must be 1 or more.")
    if not 0 < options.rating_threshold <= 5:  # also refuses NaN
        found.append(f"--rating-threshold is {options.rating_threshold:g}: it must be above 0 and at most 5 stars.")
    ratios = {"--val-ratio": options.val_ratio, "--test-ratio": options.test_ratio}
    wrong = [name for name, ratio in ratios.items() if not 0 < ratio < 1]
    found += [f"{name} is {ratios[name]:g}: it must be above 0 and below 1." for name in wrong]
    if not wrong and math.fsum(ratios.values()) >= 1:
        found.append(f"--val-ratio and --test-ratio add up to {sum(ratios.values()):g}: nothing is left to train on.")
    for name, limit in (("--max-per-user", options.max_per_user), ("--max-eval", options.max_eval)):
        if limit is not None and limit < 1:
            found.append(f"{name} is {limit}: it must be 1 or more.")
    if options.seed < 0:
        found.append(f"--seed is {options.seed}: it must be 0 or more.")
    if options.split not in ("user-timeline", "global-time"):
        found.append(f"--split is {options.split!r}: it must be user-timeline or global-time.")
    if options.export not in (None, "json", "jsonl", "none"):
        found.append(f"--export is {options.export!r}: it must be json, jsonl or none.")
    if options.titles not in get_args(Titles):
        found.append(f"--titles is {options.titles!r}: it must be natural or as_given.")
    return found
