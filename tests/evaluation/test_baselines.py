"""Baselines: values worked by hand, what is left out and why, and the figures of real MovieLens."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from movielora.errors import DataError
from movielora.evaluation.baselines import catalogue
from movielora.evaluation.baselines.catalogue import BASELINES
from movielora.evaluation.baselines.fit import fit_baselines
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.features.split import SplitFeatures, split_features
from movielora.evaluation.features.training_counts import Tally
from movielora.evaluation.metrics.formulas import all_metrics
from movielora.examples.example import Example, Film
from movielora.examples.example_set import ListedExamples
from movielora.examples.load import ExampleLoader
from movielora.progress import SILENT
from movielora.scoring.log_odds import Bools, probability


def read_split(path: Path, liked_at: float) -> SplitFeatures:
    return split_features(ExampleLoader().open(path), liked_at)


def write_split(path: Path, rows: list[tuple[int | None, int | None, list[float] | None, str]]) -> Path:
    """Test-form rows from (user, film, stars of the history, answer)."""
    with path.open("w") as file:
        for user, film, stars, label in rows:
            record = {"history_titles": [f"Seen {n}" for n in range(len(stars or [0]))], "label": label}
            record |= {"candidate_title": f"Film {film}", "user_id": user, "movie_id": film}
            file.write(json.dumps(record | ({"history_ratings": stars} if stars is not None else {})) + "\n")
    return path


@pytest.fixture
def splits(tmp_path: Path) -> tuple[SplitFeatures, SplitFeatures]:
    """Film 1 is liked 2 of 3 times, film 2 never; half of the four answers are Yes."""
    train = [(1, 1, [5.0, 3.0], "Yes"), (2, 1, [2.0, 2.0], "No"), (3, 1, [4.0, 4.0], "Yes"), (1, 2, [5.0, 3.0], "No")]
    test = [(1, 1, [5.0, 4.0, 1.0, 4.0], "Yes"), (9, 7, [1.0, 1.0], "No")]
    return (
        read_split(write_split(tmp_path / "train.jsonl", train), 4.0),
        read_split(write_split(tmp_path / "test.jsonl", test), 4.0),
    )


def test_history_figures_are_of_the_stars_shown(splits: tuple[SplitFeatures, SplitFeatures]) -> None:
    test = splits[1]
    assert test.like_share.tolist() == [3 / 4, 0.0]
    assert test.mean.tolist() == [3.5, 1.0]
    assert test.last_mean.tolist() == [3.5, 1.0]
    assert test.spread[0] == pytest.approx(math.sqrt((1.5**2 + 0.5**2 + 2.5**2 + 0.5**2) / 4))


def test_the_like_rate_is_smoothed_by_five_answers(splits: tuple[SplitFeatures, SplitFeatures]) -> None:
    fitted = fit_baselines(splits[0], {"test": splits[1]})
    p_yes = probability(fitted.log_odds["like_rate"]["test"])
    assert p_yes[0] == pytest.approx((2 + 5 * 0.5) / (3 + 5))
    assert p_yes[1] == pytest.approx(0.5)  # a film that training never saw


def test_a_training_row_does_not_see_its_own_answer() -> None:
    tally = Tally.of(["a", "a", "b"], np.array([True, False, True]))
    rates = tally.like_rates(["a", "a", "b"], general=0.5, own=np.array([True, False, True]))
    assert rates == pytest.approx([(0 + 2.5) / 6, (1 + 2.5) / 6, 2.5 / 5])


def test_the_untrained_ones_are_plain_arithmetic(splits: tuple[SplitFeatures, SplitFeatures]) -> None:
    fitted = fit_baselines(splits[0], {"test": splits[1]})
    assert probability(fitted.log_odds["majority"]["test"]) == pytest.approx([0.5, 0.5])
    share = probability(fitted.log_odds["history_like_share"]["test"])
    assert share == pytest.approx([0.75, 0.0], abs=1e-5)
    # User 1: (3 + 1) / (4 + 2) = 2/3, odds 2. Film 1: 4.5/8, odds 9/7. Everybody: odds 1.
    added = fitted.log_odds["user_item_log_odds"]["test"][0]
    assert added == pytest.approx(math.log(2) + math.log(9 / 7))


def needing(need: str) -> set[str]:
    return {baseline.key for baseline in BASELINES if need in baseline.needs}


def test_all_are_fitted_and_finite(splits: tuple[SplitFeatures, SplitFeatures]) -> None:
    fitted = fit_baselines(splits[0], {"test": splits[1]})
    assert set(fitted.log_odds) == {baseline.key for baseline in BASELINES}
    assert fitted.left_out == {}
    assert all(np.isfinite(split["test"]).all() for split in fitted.log_odds.values())


def test_without_a_training_file_only_the_untrained_remain(splits: tuple[SplitFeatures, SplitFeatures]) -> None:
    fitted = fit_baselines(None, {"test": splits[1]})
    assert set(fitted.left_out) == needing("train")
    assert set(fitted.log_odds) == {"history_like_share"}
    assert fitted.left_out["six_features"] == "there is no training file"


def test_ids_missing_in_some_rows_leave_out_the_factorisation(tmp_path: Path) -> None:
    rows = [(None, 1, [5.0], "Yes"), (2, 2, [1.0], "No"), (None, 3, [2.0], "No")]
    split = read_split(write_split(tmp_path / "a.jsonl", rows), 4.0)
    fitted = fit_baselines(split, {"test": split})
    assert fitted.left_out == dict.fromkeys(needing("ids"), "user_id is missing in 4 rows")
    assert "matrix_factorisation" in fitted.left_out


def test_histories_without_stars_leave_out_what_needs_them(tmp_path: Path) -> None:
    rows = [(1, 1, None, "Yes"), (2, 2, None, "No")]
    split = read_split(write_split(tmp_path / "a.jsonl", rows), 4.0)
    fitted = fit_baselines(split, {"test": split})
    assert set(fitted.left_out) == needing("stars")
    assert set(fitted.log_odds) >= {"majority", "popularity", "like_rate", "matrix_factorisation"}
    assert fitted.left_out["history_mean"] == "some histories show no ratings"


def test_one_answer_in_training_gives_that_answer(tmp_path: Path) -> None:
    rows = [(1, 1, [5.0], "Yes"), (2, 2, [1.0], "Yes")]
    split = read_split(write_split(tmp_path / "a.jsonl", rows), 4.0)
    fitted = fit_baselines(split, {"test": split})
    assert all(
        (fitted.log_odds[key]["test"] > 10).all() for key in ("majority", "six_features", "matrix_factorisation")
    )


def test_both_record_forms_give_the_same_columns(tmp_path: Path) -> None:
    from movielora.prompt.render import render_input

    stars = [4.5, 2.0, 5.0]
    test = {"history_titles": ["A", "B", "C"], "history_ratings": stars, "candidate_title": "D", "label": "No"}
    train = {"instruction": "x", "input": render_input(["A", "B", "C"], stars, "D"), "output": "No"}
    path = tmp_path / "mixed.jsonl"
    path.write_text(json.dumps(test) + "\n" + json.dumps(train) + "\n")
    found = read_split(path, 4.0)
    assert found.titles == ["D", "D"]
    for column in (found.like_share, found.mean, found.last_mean, found.spread, found.history_length):
        assert column[0] == column[1]


def test_every_file_of_baselines_is_listed() -> None:
    """A new baseline is a file and a line in `catalogue.py`; the line is easily forgotten."""
    folder = Path(catalogue.__file__).parent
    holding = {path.stem for path in folder.glob("*.py") if "\nBASELINES = (" in path.read_text(encoding="utf-8")}
    listed = {baseline.fit.__module__.rpartition(".")[2] for baseline in BASELINES}
    assert len({baseline.key for baseline in BASELINES}) == len(BASELINES)
    assert holding == set(catalogue._FILES)
    assert listed <= holding


def test_the_threshold_of_likes_is_that_of_a_split_that_has_one(tmp_path: Path) -> None:
    """Training rows from elsewhere bring no meta.json; the test split's says what a Yes is."""
    said = Listening()
    test, train = tmp_path / "prepared" / "test_raw.jsonl", tmp_path / "elsewhere" / "train.jsonl"
    for path in (test, train):
        path.parent.mkdir()
        write_split(path, [(1, 1, [3.0, 4.0], "Yes"), (2, 2, [5.0, 2.0], "No")])
    files = SplitFiles(test, train)
    assert files.rating_threshold(said) == 4.0
    assert [text.split(":")[0] for text in said.notes] == ["No meta.json beside the splits has a rating_threshold"]
    (test.parent / "meta.json").write_text('{"rating_threshold": 3.0}')
    assert files.rating_threshold(said) == row_facts(files).data["rating_threshold"] == 3.0
    assert row_facts(files).columns["like_share"].tolist() == [1.0, 0.5]
    (train.parent / "meta.json").write_text('{"rating_threshold": 3.5}')
    assert files.rating_threshold(said) == 3.5
    assert said.warnings == ["films count as liked from 3.5 stars, as in train, although in test from 3"]
    assert len(said.notes) == 1


class Listening:
    """A reporter that keeps what is reported."""

    phase = SILENT.phase

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_an_unknown_answer_is_named() -> None:
    known = Example((Film("A", 4.0),), "B", True, "rows.jsonl line 1")
    examples = ListedExamples("rows.jsonl", [known, replace(known, label=None, place="rows.jsonl line 2")])
    with pytest.raises(DataError, match=r"rows\.jsonl line 2 has no answer"):
        split_features(examples, 4.0)


# Measured once on ml-latest-small, default split (evaluation.md): accuracy, F1, AUC, log loss.
REAL = {
    "history_like_share": (0.692, 0.667, 0.768, 0.644),
    "like_rate": (0.628, 0.566, 0.665, 0.650),
    "history_mean": (0.691, 0.670, 0.764, 0.574),
    "mean_and_like_rate": (0.711, 0.681, 0.790, 0.550),
    "six_features": (0.722, 0.691, 0.802, 0.538),
}


@pytest.mark.shared
def test_real_movielens_gives_the_published_figures(shared: Path, tmp_path: Path) -> None:
    from movielora.dataset.options import PrepareOptions
    from movielora.preparation.prepare import prepare

    prepare(shared / "ml-latest-small", tmp_path / "d", PrepareOptions())
    train = read_split(tmp_path / "d" / "train.json", 4.0)
    test = read_split(tmp_path / "d" / "test_raw.jsonl", 4.0)
    fitted = fit_baselines(train, {"test": test})
    for key, expected in REAL.items():
        found = metrics_of(test.labels, fitted.log_odds[key]["test"])
        assert found == pytest.approx(expected, abs=0.005), key
    assert metrics_of(test.labels, fitted.log_odds["matrix_factorisation"]["test"])[2] > 0.75


def metrics_of(labels: Bools, log_odds: np.ndarray) -> tuple[float, ...]:
    found = all_metrics(labels, log_odds)
    return tuple(found[metric] for metric in ("accuracy", "f1", "auc", "log_loss"))
