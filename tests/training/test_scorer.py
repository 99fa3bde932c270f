"""`Scorer` on a real run: from its folder, from its config and from a model in memory it gives compare's scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compare_request import compare_request
from movielora.dataset.find import find_test_file
from movielora.evaluation.comparison.compare import compare
from movielora.examples.load import ExampleLoader
from movielora.progress import SILENT
from movielora.scoring.scorer import Scorer

ROWS = 24


@pytest.fixture(scope="module")
def compared(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The log-odds of base and adapter in predictions.jsonl."""
    folder = tmp_path_factory.mktemp("scorer") / "comparison"
    compare(compare_request(trained[0], output_dir=folder, max_samples=ROWS, calibrate=False), SILENT)
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == ROWS
    scores = {name: np.array([row[name]["log_odds"] for row in rows]) for name in ("base", "adapter")}
    return {"rows": np.array([row["row"] for row in rows]), **scores}


@pytest.fixture(scope="module")
def records(trained: Any, compared: dict[str, np.ndarray]) -> list[Any]:
    examples = ExampleLoader().open(find_test_file(trained[0]))
    return [examples[row] for row in compared["rows"].tolist()]


def test_a_run_and_its_config_give_the_scores_of_compare(
    trained: Any, records: list[Any], compared: dict[str, np.ndarray]
) -> None:
    resolved, result = trained
    for scorer in (Scorer.of_run(Path(result.run_dir)), Scorer.of_config(resolved)):
        counted: list[int] = []
        assert np.array_equal(scorer.score(records, on_batch=counted.append).log_odds, compared["adapter"])
        assert sum(counted) == ROWS
        assert np.array_equal(scorer.score(records, adapter=False).log_odds, compared["base"])
        unlabelled = [replace(record, label=None) for record in records]
        assert np.array_equal(scorer.score(unlabelled).log_odds, compared["adapter"])
        # Switched off for one call only.
        assert np.array_equal(scorer.score(records).log_odds, compared["adapter"])


def test_a_model_in_memory_scores_token_ids(trained: Any, records: list[Any], compared: dict[str, np.ndarray]) -> None:
    opened = Scorer.of_run(Path(trained[1].run_dir))
    examples = opened.tokenize(records)
    scorer = Scorer.of_model(opened.model, batch_size=opened.batch_size)
    scores, loss = scorer.score_tokens(examples)
    assert np.array_equal(scores.log_odds, compared["adapter"])
    assert np.isfinite(loss)
    with pytest.raises(ValueError, match="it scores token ids"):
        scorer.score(records)
