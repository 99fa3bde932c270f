"""Who is compared: base, adapter, controls, scores from elsewhere, baselines; their names, and the strongest."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from movielora.evaluation.baselines.baselines import BY_KEY
from movielora.evaluation.baselines.fitted import Reference
from movielora.evaluation.comparison.figures import Model
from movielora.evaluation.metrics.formulas import all_metrics
from movielora.scoring.log_odds import Bools, Ints
from movielora.scoring.predictions import Predictions, Scores

MAIN_MODELS = ("base", "adapter")
# The adapter asked differently, by the key of its scores in predictions.jsonl.
CONTROLS = {"history_shuffled": "History shuffled", "candidate_alone": "Candidate alone"}


@dataclass(frozen=True)
class Names:
    """How the two models are spoken of: "the base" and "the adapter", or two runs by their names."""

    base: str = "the base"
    adapter: str = "the adapter"
    others: dict[str, str] = field(default_factory=dict)

    def of(self, key: str) -> str:
        spoken = {"base": self.base, "adapter": self.adapter, **CONTROLS, **self.others}.get(key)
        return (spoken or key.replace("_", " ")).removeprefix("the ")


def scored_models(predictions: Predictions, eval_predictions: Predictions | None, names: Names) -> dict[str, Model]:
    on_eval = eval_predictions.scores if eval_predictions is not None else {}
    labels = eval_predictions.labels if eval_predictions is not None else None

    def model(key: str, scores: Scores) -> Model:
        if key not in on_eval:
            return Model(names.of(key), scores)
        return Model(names.of(key), scores, on_eval[key].log_odds, labels)

    return {key: model(key, scores) for key, scores in predictions.scores.items()}


def baseline_models(reference: Reference, rows: Ints) -> dict[str, Model]:
    """Every fitted baseline on these rows of the test file, by its key."""
    unmeasured, answered = np.full(len(rows), np.nan), np.ones(len(rows), dtype=bool)
    return {
        key: Model(
            BY_KEY[key].name,
            Scores(splits["test"][rows], unmeasured, answered),
            splits.get("eval"),
            reference.eval_labels if "eval" in splits else None,
        )
        for key, splits in reference.fitted.log_odds.items()
    }


def best_baseline(baselines: dict[str, Model], labels: Bools) -> tuple[str | None, str | None]:
    """The baseline of highest AUC on the evaluation split, so that the choice is not made by the rows it is judged
    on; on the test rows where there is no such split. Lowest log loss where AUC is undefined."""
    if not baselines:
        return None, None
    has_eval = all(model.eval_log_odds is not None for model in baselines.values())

    def quality(key: str) -> tuple[float, float]:
        model = baselines[key]
        scores, truth = model.scores.log_odds, labels
        if has_eval and model.eval_log_odds is not None and model.eval_labels is not None:
            scores, truth = model.eval_log_odds, model.eval_labels
        found = all_metrics(truth, scores)
        return (-1.0 if math.isnan(found["auc"]) else found["auc"]), -found["log_loss"]

    return max(baselines, key=quality), "eval" if has_eval else "test"


def strongest_baseline(reference: Reference) -> str | None:
    """The key of the baseline that a comparison holds the adapter against; None where none could be computed."""
    rows = np.arange(len(reference.labels))
    return best_baseline(baseline_models(reference, rows), reference.labels)[0]
