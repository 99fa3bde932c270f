"""comparison.json: its shape, its arithmetic compared with plain code, and odd data."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from movielora.dataset.options import PrepareOptions
from movielora.errors import DataError
from movielora.evaluation.baselines.catalogue import BASELINES
from movielora.evaluation.baselines.row_facts import row_facts
from movielora.evaluation.comparison.summary import summarise
from movielora.evaluation.features.files import SplitFiles
from movielora.evaluation.metrics.formulas import ALL_METRICS, ANSWER_METRICS
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.sentences import data_warnings
from movielora.preparation.prepare import prepare
from movielora.scoring.predictions import read_predictions
from synthetic_comparison import Invented, finish, invent_dataset, write_predictions


@pytest.fixture
def comparison(invented: Invented) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invented.folder.comparison.read_text())
    return found


def test_the_shape_is_the_contract(comparison: dict[str, Any]) -> None:
    assert tuple(comparison["base"]) == ANSWER_METRICS
    assert tuple(comparison["adapter"]) == ANSWER_METRICS
    assert set(comparison["buckets"]) == {"fixed", "broken", "both_right", "both_wrong"}
    assert sum(comparison["buckets"].values()) == comparison["samples"]
    assert set(comparison["models"]["baselines"]) == {baseline.key for baseline in BASELINES}
    for entry in (comparison["models"]["base"], *comparison["models"]["baselines"].values()):
        assert set(ALL_METRICS) <= set(entry)
        assert set(entry["intervals"]) == set(ALL_METRICS)
        assert entry["calibrated"]["temperature"] > 0
        assert "threshold" in entry["at_best_f1"]
    for key in ("adapter_minus_base", "adapter_minus_best_baseline"):
        assert set(comparison["difference"][key]["auc"]) == {"value", "low", "high"}
    assert {"fixed", "broken", "p_value", "caveat"} == set(comparison["mcnemar"])
    assert isinstance(comparison["verdict"], str)
    assert comparison["calibration"]["fitted_on"] == "eval"
    assert {"seed", "resamples", "resampled", "splits"} <= set(comparison["data"])


def test_figures_are_those_of_plain_code(invented: Invented, comparison: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in invented.folder.predictions.read_text().splitlines()]
    labels = np.array([row["label"] == "Yes" for row in rows])
    scores = {model: np.array([row[model]["log_odds"] for row in rows]) for model in ("base", "adapter")}
    for model, log_odds in scores.items():
        assert comparison[model]["auc"] == pytest.approx(roc_auc_score(labels, log_odds), abs=1e-6)
        assert comparison[model]["accuracy"] == pytest.approx(((log_odds > 0) == labels).mean(), abs=1e-6)
    gain = comparison["difference"]["adapter_minus_base"]["auc"]
    assert gain["value"] == pytest.approx(comparison["adapter"]["auc"] - comparison["base"]["auc"], abs=2e-6)
    assert gain["low"] < gain["value"] < gain["high"]
    right = {model: (log_odds > 0) == labels for model, log_odds in scores.items()}
    fixed, broken = (right["adapter"] & ~right["base"]).sum(), (right["base"] & ~right["adapter"]).sum()
    assert (comparison["mcnemar"]["fixed"], comparison["mcnemar"]["broken"]) == (fixed, broken)
    expected = binomtest(int(fixed), int(fixed + broken), 0.5).pvalue
    assert comparison["mcnemar"]["p_value"] == pytest.approx(expected, abs=1e-6)


def test_slices_are_the_rows_they_name(invented: Invented, comparison: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in invented.folder.predictions.read_text().splitlines()]
    listed = pl.read_parquet(invented.files.folder / "films.parquet").iter_rows(named=True)
    films = {film["item"]: film for film in listed}
    drama = [row for row in rows if "Drama" in films[row["movie_id"]]["genres"]]
    entry = next(s for s in comparison["slices"] if (s["by"], s["slice"]) == ("genre", "Drama"))
    assert entry["n"] == len(drama)
    labels = [row["label"] == "Yes" for row in drama]
    assert entry["adapter"]["auc"] == pytest.approx(
        roc_auc_score(labels, [row["adapter"]["log_odds"] for row in drama]), abs=1e-6
    )
    assert all(s["n"] >= comparison["data"]["slices_min_rows"] for s in comparison["slices"])
    decades = {s["slice"] for s in comparison["slices"] if s["by"] == "decade"}
    assert decades <= {f"{year}s" for year in range(1960, 2020, 10)}
    for s in comparison["slices"]:
        gain = s["adapter_minus_base"]["auc"]
        assert gain["p_corrected"] >= gain["p_value"]


def test_the_same_input_gives_the_same_bytes(invented: Invented) -> None:
    before = invented.folder.comparison.read_bytes(), invented.folder.rows.read_bytes()
    finish(invented.files, invented.folder)
    assert (invented.folder.comparison.read_bytes(), invented.folder.rows.read_bytes()) == before


def test_the_reference_is_kept_by_content(tmp_path: Path) -> None:
    files = invent_dataset(tmp_path, users=8, films=30)
    first = row_facts(files)
    kept = list((files.folder / ".movielora-reference").iterdir())
    assert len(kept) == 1
    again = row_facts(files)
    assert again.data == first.data
    assert again.candidates == first.candidates
    for key, splits in first.fitted.log_odds.items():
        assert again.fitted.log_odds[key]["test"].tolist() == splits["test"].tolist()
    files.test.write_text("".join(files.test.read_text().splitlines(keepends=True)[:-1]))
    assert len(row_facts(files).labels) == len(first.labels) - 1
    kept[0].write_bytes(b"torn")
    row_facts(files)  # a broken cache is made again


@pytest.fixture
def small(tmp_path: Path) -> tuple[SplitFiles, ComparisonFolder]:
    """A small comparison that a test may change."""
    files = invent_dataset(tmp_path, users=8, films=30)
    folder = ComparisonFolder(tmp_path / "comparison")
    folder.root.mkdir()
    write_predictions(files, folder)
    return files, folder


def rewrite(path: Path, change: Any) -> None:
    """Apply `change` to each row and keep what is not None."""
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows if row is not None))


def test_one_answer_only_is_said_and_does_not_crash(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    files, folder = small
    rewrite(files.test, lambda row: row | {"label": "Yes"})
    rewrite(folder.predictions, lambda row: row | {"label": "Yes"})
    found = finish(files, folder)
    assert found["data"]["one_class"]
    assert found["adapter"]["auc"] is None
    assert found["models"]["adapter"]["intervals"]["auc"] is None
    assert "AUC needs both answers" in found["verdict"]
    assert json.loads(folder.comparison.read_text()) == found


def test_one_row(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    files, folder = small
    rewrite(folder.predictions, lambda row: row if row["row"] == 0 else None)
    found = finish(files, folder)
    assert (found["samples"], found["verdict_detail"]["outcome"]) == (1, "undecided")
    assert found["slices"] == []


def test_ids_missing_in_half_the_rows_resample_rows_and_say_so(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    files, folder = small
    for path in (folder.predictions, files.test):
        half = iter(range(10_000))
        rewrite(path, lambda row, half=half: {k: v for k, v in row.items() if k != "user_id" or next(half) % 2})
    found = finish(files, folder)
    assert (found["data"]["resampled"], found["data"]["users"]) == ("rows", None)
    assert "user_id is missing in" in found["data"]["resampled_because"]
    assert "user_id is missing" in found["data"]["baselines_left_out"]["matrix_factorisation"]
    assert found["adapter"]["auc"] is not None
    assert found["models"]["adapter"]["uauc"] is None


def _without(*fields: str) -> Any:
    return lambda row: {name: value for name, value in row.items() if name not in fields}


def test_nothing_is_said_of_users_that_are_unknown(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    """Without ids nobody knows whether test users are in training, nor whether a row was asked in training."""
    files, folder = small
    for path in (files.test, folder.predictions):
        rewrite(path, _without("user_id"))
    found = finish(files, folder)
    splits = found["data"]["splits"]
    unknown = ("users_shared_with_training", "time_leak", "time_leak_own", "tied_rows", "questions_seen_in_training")
    assert [splits[name] for name in unknown] == [None] * len(unknown)
    assert splits["users"]["test"] is None
    said = " ".join(data_warnings(found))
    assert "Whether test users are also in training is unknown" in said
    assert "new users" not in said
    # A comparison of before counted them as 0 users, of whom 0 are shared.
    before = found["data"] | {
        "splits": splits | {"users_shared_with_training": 0, "users": splits["users"] | {"test": 0}}
    }
    assert "is unknown" in " ".join(data_warnings(found | {"data": before}))


def test_nothing_is_said_of_films_that_are_unknown(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    """A candidate without any name is not "rare (up to 0)", and was not asked about in training."""
    files, folder = small
    asked = {"instruction": "Is it liked?", "input": "A film that is described, and not named."}
    nameless = _without("movie_id", "candidate_title", "history_titles", "history_ratings")
    rewrite(files.test, lambda row: nameless(row) | asked | {"output": row["label"]})
    rewrite(folder.predictions, nameless)
    found = finish(files, folder)
    assert found["data"]["splits"]["questions_seen_in_training"] is None
    assert {"popularity", "genre", "decade"}.isdisjoint(entry["by"] for entry in found["slices"])


@pytest.mark.parametrize(
    ("shared", "says"),
    [
        (8, "8 of 8 test users are also in training: this is no test of new users."),
        (5, "5 of 8 test users are also in training: the other 3 are new."),
        (0, "No test user is in training (8 users): every figure is about new users."),
    ],
)
def test_users_shared_with_training_in_words(comparison: dict[str, Any], shared: int, says: str) -> None:
    splits = comparison["data"]["splits"]
    changed = splits | {"users_shared_with_training": shared, "users": {"train": 8, "test": 8}}
    assert says in data_warnings(comparison | {"data": comparison["data"] | {"splits": changed}})


def test_without_an_evaluation_split_nothing_is_fitted_and_it_says_so(
    small: tuple[SplitFiles, ComparisonFolder],
) -> None:
    files, folder = small
    folder.eval_predictions.unlink()
    found = finish(SplitFiles(files.test, files.train), folder)
    assert found["models"]["adapter"]["calibrated"] is None
    assert found["calibration"]["fitted_on"] is None
    assert "was not scored" in found["calibration"]["reason"]
    assert found["data"]["best_baseline_chosen_on"] == "test"


def test_without_training_the_like_share_is_what_remains_to_beat(
    small: tuple[SplitFiles, ComparisonFolder],
) -> None:
    files, folder = small
    found = finish(SplitFiles(files.test), folder)
    assert set(found["models"]["baselines"]) == {"history_like_share"}
    assert found["data"]["best_baseline"] == "history_like_share"
    assert found["difference"]["adapter_minus_best_baseline"]["auc"]["low"] is not None
    assert found["data"]["baselines_left_out"]["six_features"] == "there is no training file"


def test_another_datasets_folder_is_refused(small: tuple[SplitFiles, ComparisonFolder], tmp_path: Path) -> None:
    _, folder = small
    other = invent_dataset(tmp_path / "other", users=8, films=30, seed=99)
    with pytest.raises(DataError, match="belongs to another dataset"):
        summarise(read_predictions(folder.predictions), row_facts(other))
    shutil.rmtree(tmp_path / "other" / "dataset" / ".movielora-reference")
    lines = other.test.read_text().splitlines(keepends=True)
    other.test.write_text("".join(lines[:3]))
    with pytest.raises(DataError, match="rows, the test file 3"):
        summarise(read_predictions(folder.predictions), row_facts(other))


def test_a_film_is_the_same_by_both_orders_of_its_title(tmp_path: Path) -> None:
    """The columns have it as given; scores of another program may carry the export's title."""
    films = tmp_path / "ratings" / "movies.csv"
    files = invent_dataset(tmp_path, users=8, films=30)
    listed = pl.read_csv(films)
    listed.with_columns(pl.col("title").str.replace(r"^(Film \d+) \(", "${1}, The (")).write_csv(films)
    prepare(films.parent, files.folder, PrepareOptions(history_len=5, test_ratio=0.3), overwrite=True)
    folder = ComparisonFolder(tmp_path / "comparison")
    folder.root.mkdir()
    write_predictions(files, folder)
    assert "The Film 11 (" in folder.predictions.read_text(encoding="utf-8")
    facts = row_facts(files)
    assert all(title is None or ", The" not in title for title in facts.candidates)
    summarise(read_predictions(folder.predictions), facts)
    as_given = re.sub(r"The (Film \d+) \(", r"\1, The (", folder.predictions.read_text(encoding="utf-8"))
    folder.predictions.write_text(as_given, encoding="utf-8")
    summarise(read_predictions(folder.predictions), facts)


def test_leaks_between_the_splits_are_counted(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    files, folder = small
    splits = finish(files, folder)["data"]["splits"]
    # Users follow one another in time in the invented ratings: all but the last are followed by others.
    assert 0.8 < splits["time_leak"] < 1
    assert splits["time_leak_own"] == 0
    assert splits["users_shared_with_training"] == splits["users"]["test"] == 8
    assert (splits["tied_rows"], splits["questions_seen_in_training"]) == (0.0, 0)


def test_near_threshold_and_unanswered_rows_are_counted(small: tuple[SplitFiles, ComparisonFolder]) -> None:
    files, folder = small
    near = {"log_odds": 0.01, "p_yes": 0.5, "answer_mass": 0.3, "prediction": "Yes"}
    rewrite(folder.predictions, lambda row: row | ({"base": near} if row["row"] < 3 else {}))
    rows = [json.loads(line) for line in folder.predictions.read_text().splitlines()]
    counted = finish(files, folder)["data"]["models"]["base"]
    assert counted["near_threshold"] == sum(abs(row["base"]["log_odds"]) < 0.05 for row in rows)
    assert counted["unanswered_share"] == pytest.approx(
        sum(row["base"]["answer_mass"] < 0.5 for row in rows) / len(rows), abs=1e-6
    )


def test_no_figure_is_nan_in_the_file(invented: Invented) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                check(item)
        elif isinstance(value, list):
            for item in value:
                check(item)
        elif isinstance(value, float):
            assert math.isfinite(value)

    check(json.loads(invented.folder.comparison.read_text()))
    check(json.loads(invented.folder.rows.read_text()))
