"""What `meta.json` reports of a dataset: where it comes from, counts, shares, and what was left out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from movielora import __version__
from movielora.dataset.films import Films
from movielora.dataset.options import PrepareOptions
from movielora.dataset.splits import SPLITS, Splits
from movielora.dataset.statistics import positive_rates, tie_rate, time_leak
from movielora.dataset.timelines import Timelines
from movielora.sources.ratings import Ratings


def describe(
    source: Path,
    ratings: Ratings,
    timelines: Timelines,
    films: Films,
    splits: Splits,
    options: PrepareOptions,
    *,
    repeats_dropped: int,
) -> dict[str, Any]:
    """Everything of `meta.json` but the files: counts, shares 0 to 1, hashes, options."""
    counts = {name: len(splits.events[name]) for name in SPLITS}
    ratings_each = np.bincount(timelines.item, minlength=len(films))
    is_listed = np.fromiter((film in ratings.films for film in films.ids.tolist()), dtype=bool, count=len(films))
    leak = time_leak(timelines, splits)
    examples = sum(counts.values())
    return {
        "movielora_version": __version__,
        "source": {"path": str(source), "layout": ratings.layout, "sha256": ratings.hashes},
        "options": asdict(options),
        "split": options.split,
        "history_len": options.history_len,
        "rating_threshold": options.rating_threshold,
        "seed": options.seed,
        "titles": options.titles,
        "counts": counts,
        "positive_rate": positive_rates(timelines, splits, options.rating_threshold),
        "users": len(timelines.users) - splits.users_dropped,
        "users_dropped": splits.users_dropped,
        "movies": int((ratings_each > 0).sum()),
        "movies_listed": len(ratings.films),
        "movies_untitled": int((~is_listed).sum()),
        "ratings": len(timelines.item),
        "ratings_untitled": int(ratings_each[~is_listed].sum()),
        "ratings_repeated_dropped": repeats_dropped,
        "ratings_not_asked": {
            "history_only": len(timelines.item) - examples - splits.over_max_per_user - splits.over_max_eval,
            "over_max_per_user": splits.over_max_per_user,
            "over_max_eval": splits.over_max_eval,
        },
        "tie_rate": tie_rate(timelines),
        "cross_user_time_leak": leak.any_later,
        "later_train_share": leak.mean_later,
    }
