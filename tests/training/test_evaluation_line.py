"""What training says of an evaluation: its line, its uAUC, and the reason of an early stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from movielora.config import resolve_config
from movielora.config.named_values import METRIC_DIRECTIONS
from movielora.errors import DataError
from movielora.evaluation.metrics.formulas import ANSWER_METRICS
from movielora.examples.columns import user_numbers
from movielora.examples.example import Example
from movielora.examples.example_set import ListedExamples
from movielora.progress import SILENT
from movielora.training.examples import load_examples
from movielora.training.loop.early_stopping import early_stop_reason
from movielora.training.loop.evaluation import evaluation_metrics
from movielora.training.loop.evaluation_line import evaluation_line


class FixedScores:
    """A scorer whose log-odds are given: the arithmetic after it is what is tested."""

    def __init__(self, log_odds: np.ndarray) -> None:
        self.log_odds = log_odds
        self.answer_mass = np.full(len(log_odds), 0.5)

    def score_tokens(self, examples, rows, *, on_batch):
        on_batch(len(rows))
        return self, 0.25


class Labelled:
    def __init__(self, labels: list[int]) -> None:
        self.labels = np.array(labels, dtype=np.int8)


def test_a_line_shows_what_is_known_and_the_metric_that_decides() -> None:
    metrics = {"eval_auc": 0.6841, "eval_uauc": 0.61, "eval_f1": 0.6339, "eval_loss": 3.0974, "eval_log_loss": 0.71}
    assert evaluation_line(metrics, 60, "auc", is_best=True) == "step 60  AUC .684  uAUC .610  F1 .634  ★ best"
    assert (
        evaluation_line(metrics, 1200, "log_loss", is_best=False)
        == "step 1,200  AUC .684  uAUC .610  F1 .634  log loss .710"
    )
    without = {name: value for name, value in metrics.items() if name != "eval_uauc"}
    assert evaluation_line(without, 60, "loss", is_best=False) == "step 60  AUC .684  F1 .634  loss 3.097"
    assert evaluation_line({"eval_auc": float("nan"), "eval_f1": 1.0}, 1, "f1", is_best=False) == "step 1  F1 1.000"


def test_uauc_is_the_mean_of_each_users_own_auc() -> None:
    """Compared with scikit-learn's AUC user by user; users with one answer, or none known, do not count."""
    generator = np.random.default_rng(5)
    users = np.repeat(np.arange(12), 6)
    labels = generator.integers(-1, 2, len(users))
    labels[users == 3], labels[users == 4] = 1, -1
    log_odds = np.round(generator.normal(size=len(users)), 1)  # with ties
    examples, rows = Labelled(labels.tolist()), np.arange(len(users))
    found = evaluation_metrics(FixedScores(log_odds), examples, rows, lambda count: None, users)
    own = []
    for user in range(12):
        mine = (users == user) & (labels >= 0)
        if len(set(labels[mine].tolist())) == 2:
            own.append(roc_auc_score(labels[mine], log_odds[mine]))
    assert len(own) > 3
    assert found["uauc"] == pytest.approx(np.mean(own), abs=1e-12)
    assert found["loss"] == 0.25


def test_uauc_is_absent_if_no_user_is_known_or_none_has_both_answers() -> None:
    scorer, examples, rows = FixedScores(np.array([1.0, 2.0, 3.0])), Labelled([1, 0, 1]), np.arange(3)
    assert "uauc" not in evaluation_metrics(scorer, examples, rows, lambda count: None)
    assert "uauc" not in evaluation_metrics(scorer, examples, rows, lambda count: None, np.array([1, 2, 1]))
    assert evaluation_metrics(scorer, examples, rows, lambda count: None, np.array([1, 1, 1]))["uauc"] == 0.5


def test_the_metrics_that_can_decide_are_those_of_an_evaluation() -> None:
    assert set(METRIC_DIRECTIONS) == {*ANSWER_METRICS, "uauc", "loss"}


@pytest.mark.parametrize(
    ("users", "numbers"),
    [((7, "a", 7), [0, 1, 0]), ((None, 7, None, 7), [1, 0, 3, 0]), ((None, None), None)],
)
def test_users_as_numbers(users: tuple[int | str | None, ...], numbers: list[int] | None) -> None:
    """A row without a user is a user of its own, who can have no pair of answers."""
    examples = [Example((), "Film", True, f"row {row}", user=user) for row, user in enumerate(users)]
    found = user_numbers(ListedExamples("rows", examples))
    assert found is None if numbers is None else found.tolist() == numbers


def test_uauc_as_the_deciding_metric_needs_users(tmp_path: Path, tiny_tokenizer) -> None:
    row = '{"instruction": "Will they like it?", "input": "Film %d", "output": "%s"}'
    lines = [row % (number, "Yes" if number % 2 else "No") for number in range(8)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    file = tmp_path / "rows.jsonl"
    words = [f"train_file={file}", f"eval_file={file}", f"preprocessing_cache_dir={tmp_path}"]
    config = resolve_config(None, [*words, "metric_for_best_model=uauc"])
    from movielora.dataset.find import find_dataset

    with pytest.raises(DataError, match=r"uauc` cannot be computed: .*rows\.jsonl names no users"):
        load_examples(config.values, find_dataset(config), tiny_tokenizer, SILENT)
    config = resolve_config(None, [*words, "metric_for_best_model=auc"])
    assert load_examples(config.values, find_dataset(config), tiny_tokenizer, SILENT).eval_users is None


def test_auc_as_the_deciding_metric_needs_both_answers(tmp_path: Path, tiny_tokenizer) -> None:
    """Undefined, it never improved: the training ended after `early_stopping_patience` evaluations."""
    row = '{"instruction": "Will they like it?", "input": "Film %d", "output": "Yes"}'
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(row % number for number in range(8)) + "\n")
    words = [f"train_file={file}", f"eval_file={file}", f"preprocessing_cache_dir={tmp_path}"]
    config = resolve_config(None, words)
    from movielora.dataset.find import find_dataset

    with pytest.raises(DataError, match=r"auc` cannot be computed: .* does not hold both answers") as caught:
        load_examples(config.values, find_dataset(config), tiny_tokenizer, SILENT)
    assert caught.value.next_step == "--set metric_for_best_model=log_loss"
    config = resolve_config(None, [*words, "metric_for_best_model=log_loss"])
    assert len(load_examples(config.values, find_dataset(config), tiny_tokenizer, SILENT).eval_rows) == 8


def test_the_reason_of_an_early_stop_is_one_sentence() -> None:
    log = [{"step": step, "eval_auc": value} for step, value in ((10, 0.684), (20, 0.68), (30, 0.684), (40, 0.6))]
    config = resolve_config(None, ["metric_for_best_model=auc", "early_stopping_patience=2"]).values
    assert early_stop_reason(log[:2], config, 20, 40) == ""
    assert (
        early_stop_reason(log[:3], config, 30, 40)
        == "stopped early at step 30 of 40: auc has not improved in 2 evaluations; best .684 at step 10"
    )
    assert early_stop_reason(log, config, 40, 40) == ""  # it had come to its end anyway
    config = resolve_config(None, ["early_stopping_patience=null", "loss_plateau_patience=1"]).values
    losses = [{"step": 1200, "loss": 1.0}, {"step": 1300, "loss": 1.5}]
    assert (
        early_stop_reason(losses, config, 1300, 4000)
        == "stopped early at step 1,300 of 4,000: the training loss has not fallen in 1 log"
    )
