"""A run is judged on rows that it has not seen: what it was trained on is recorded, counted, refused or said."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from movielora.cli import main
from movielora.dataset.options import PrepareOptions
from movielora.examples.example_set import sample_rows
from movielora.examples.trained_rows import TrainedRows
from movielora.preparation.prepare import prepare
from movielora.progress import SILENT

_CONFIG = """\
model_name_or_path: tiny
use_qlora: false
bf16: false
enable_liger_kernel: false
dataset_dir: d
dataset: base_train
per_device_train_batch_size: 16
gradient_accumulation_steps: 1
max_steps: 3
lora_rank: 2
eval_steps: 3
save_steps: 3
preprocessing_cache_dir: c/p
report_to: none
output_dir: output/x
"""
Command = Callable[..., tuple[int, str, str]]


def write_ratings(folder: Path) -> None:
    """30 users with 25 ratings each: 17 examples of each with a history of 8."""
    numbers = random.Random(1)  # noqa: S311 - synthetic ratings
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(1, 31):
        time = 10**9 + user * 1000
        for film in numbers.sample(range(1, 61), 25):
            time += numbers.randint(1, 5000)
            lines.append(f"{user},{film},{numbers.choice([1, 2, 3, 4, 5])},{time}")
    folder.mkdir()
    (folder / "ratings.csv").write_text("\n".join(lines), encoding="utf-8")
    films = [f"{film},Film {film} ({1950 + film}),Drama" for film in range(1, 61)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]), encoding="utf-8")


def make_dataset(folder: Path, test_ratio: float) -> None:
    prepare(
        folder.parent.parent / "s", folder, PrepareOptions(history_len=8, val_ratio=0.15, test_ratio=test_ratio), SILENT
    )


def rated(dataset: Path, split: str) -> set[tuple[int, int, int]]:
    """(user, film, time) of a split, read from the columns by themselves."""
    frame = pl.read_parquet(dataset / "interactions.parquet").filter(pl.col("split").cast(pl.String) == split)
    return set(frame.select("user", "item", "time").iter_rows())


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `output/x` on the dataset `d/base`."""
    root = tmp_path_factory.mktemp("judged")
    write_ratings(root / "s")
    (root / "d").mkdir()
    make_dataset(root / "d" / "base", 0.15)
    (root / "base.yaml").write_text(_CONFIG, encoding="utf-8")
    with chdir(root), pytest.raises(SystemExit, match="0"):
        main(["train", "--config", "base.yaml"])
    return root


@pytest.fixture
def place(road: Path, tmp_path: Path) -> Path:
    """A copy of it, whose dataset may be changed."""
    for name in ("s", "d", "output", "c", "base.yaml"):
        source = road / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    record = tmp_path / "output" / "x" / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace(str(road), str(tmp_path)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def movielora(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in `place`: its exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with chdir(place), pytest.raises(SystemExit) as left:
            main([*words])
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return run


def prepare_again(place: Path) -> tuple[int, int]:
    """The dataset with half of the examples as test rows; how many of those were trained on, and were evaluated on."""
    before = {split: rated(place / "d" / "base", split) for split in ("train", "eval")}
    shutil.rmtree(place / "d" / "base")
    make_dataset(place / "d" / "base", 0.5)
    now = rated(place / "d" / "base", "test")
    return len(now & before["train"]), len(now & before["eval"])


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def test_the_test_rows_of_its_own_dataset_are_a_fair_test(movielora: Command) -> None:
    code, out, err = movielora("compare", "output/x", "--json")
    assert code == 0, err
    training = json.loads(out)["data"]["training"]
    assert training["runs"]["adapter"] == {
        "run": "output/x", "rows": 60, "trained": 0, "trained_by": "", "chosen": 0, "unknown": 0,
        "why_unknown": "", "other_dataset": "",
    }  # fmt: skip
    assert (training["other_words"], training["in_training_split"], training["eval_rows_left_out"]) == ({}, 0, 0)
    assert "No fair test" not in json.loads(out)["verdict"]


def test_rows_that_were_trained_on_are_refused_with_their_number(place: Path, movielora: Command) -> None:
    trained, chosen = prepare_again(place)
    assert (trained, chosen) == (120, 60)
    code, _, err = movielora("compare", "output/x")
    assert code == 2
    assert "120 of the 240 rows were trained on by output/x" in err
    assert f"{place}/d/base was prepared again since output/x was trained on it" in err
    assert "--allow-overlap" in err
    assert not (place / "output" / "x" / "comparison").exists()


def test_who_insists_gets_it_in_writing(place: Path, movielora: Command) -> None:
    prepare_again(place)
    code, out, err = movielora("compare", "output/x", "--allow-overlap", "--json")
    assert code == 0, err
    found = json.loads(out)
    run = found["data"]["training"]["runs"]["adapter"]
    assert (run["trained"], run["chosen"], run["rows"]) == (120, 60, 240)
    # All 60 evaluation rows of the new dataset were trained on: nothing is fitted on them.
    assert found["data"]["training"]["eval_rows_left_out"] == 60
    assert found["calibration"]["fitted_on"] is None
    warned = "120 of the 240 rows were trained on by output/x"
    assert f"No fair test: {warned}." in found["verdict"]
    _, out, _ = movielora("analyze", "output/x/comparison", "--json")
    assert warned in json.loads(out)["verdict"]
    assert warned in (place / "output" / "x" / "comparison" / "report.html").read_text(encoding="utf-8")


def as_list(row: dict[str, Any]) -> dict[str, Any]:
    """A training record as titles and ratings, without ids, read from its text line by line."""
    lines = row["input"].split("\n")
    films = [re.sub(r"^\d+\. ", "", line).rsplit(": ", 1) for line in lines if re.match(r"\d+\. ", line)]
    candidate = next(line for line in lines if line.startswith("Candidate film: "))
    return {
        "history_titles": [title for title, _ in films],
        "history_ratings": [float(stars) for _, stars in films],
        "candidate_title": candidate.removeprefix("Candidate film: "),
        "label": row["output"],
    }


@pytest.mark.parametrize("named", ["d/base/train.json", "without ids", "text"])
def test_training_rows_in_any_form_are_recognised(place: Path, movielora: Command, named: str) -> None:
    """The first ten training rows beside ten test rows: ten are refused, whatever names them."""
    seen, new = read_rows(place / "d/base/train.json"), read_rows(place / "d/base/test_raw.jsonl")
    if named == "d/base/train.json":
        path, expected = place / named, "390 of the 390 rows"
    elif named == "text":
        texts = [{key: row[key] for key in ("system", "instruction", "input", "output")} for row in seen[:10]]
        path, expected = write_rows(place / "mixed.jsonl", [*texts, *new[:10]]), "10 of the 20 rows"
    else:
        lists = [as_list(row) for row in seen[:10]]
        path, expected = write_rows(place / "mixed.jsonl", [*lists, *new[:10]]), "10 of the 20 rows"
    code, _, err = movielora("compare", "output/x", "--test-file", str(path))
    assert code == 2
    assert f"{expected} were trained on by output/x" in err


def test_training_rows_under_other_ids_and_with_shorter_histories(place: Path, movielora: Command) -> None:
    """The text is that of training: refused under other ids and times; with three films, and no ids, not known."""
    seen, new = read_rows(place / "d/base/train.json"), read_rows(place / "d/base/test_raw.jsonl")
    renamed = [row | {"user_id": row["user_id"] + 1000, "timestamp": row["timestamp"] + 5} for row in seen[:10]]
    path = write_rows(place / "renamed.jsonl", [*renamed, *new[:10]])
    code, _, err = movielora("compare", "output/x", "--test-file", str(path))
    assert code == 2
    assert "10 of the 20 rows were trained on by output/x" in err
    lists = [as_list(row) for row in seen[:10]]
    short = [row | {key: row[key][-3:] for key in ("history_titles", "history_ratings")} for row in lists]
    path = write_rows(place / "short.jsonl", [*short, *new[:10]])
    code, _, err = movielora("compare", "output/x", "--test-file", str(path), "--output-dir", "short")
    assert code == 0, err
    assert "whether output/x was trained on 10 of the 20 rows is not known: " in err


def test_evaluation_rows_are_said_to_have_chosen_the_run(movielora: Command) -> None:
    code, out, err = movielora("compare", "output/x", "--test-file", "d/base/eval.json", "--no-calibrate")
    assert code == 0, err
    said = " ".join(out.split())
    assert "60 of the 60 rows are evaluation rows of output/x, which its best checkpoint was chosen on" in said


def test_a_checkpoint_in_a_run_folder_is_of_that_run(place: Path, movielora: Command) -> None:
    prepare_again(place)
    adapter = "output/x/checkpoint-3"
    code, _, err = movielora("compare", "--config", "base.yaml", "--adapter", adapter)
    assert code == 2
    assert f"120 of the 240 rows were trained on by {adapter}" in err
    code, _, err = movielora("compare", "--config", "base.yaml")
    assert code == 2
    assert "120 of the 240 rows were trained on by output/x" in err


def test_each_of_two_runs_is_looked_at(place: Path, movielora: Command) -> None:
    shutil.copytree(place / "output/x", place / "output/y")
    # `y` was trained on other rows.
    TrainedRows().write(place / "output/y")
    prepare_again(place)
    for words in (("output/x", "output/y"), ("output/y", "output/x")):
        code, _, err = movielora("compare", *words)
        assert code == 2
        assert "120 of the 240 rows were trained on by output/x" in err


def test_another_dataset_is_named(place: Path, movielora: Command) -> None:
    ratings = place / "s" / "ratings.csv"
    ratings.write_text(re.sub(r"^(\d+),", r"9\1,", ratings.read_text(encoding="utf-8"), flags=re.MULTILINE))
    make_dataset(place / "d" / "other", 0.15)
    code, out, err = movielora("compare", "output/x", "--test-file", "d/other/test_raw.jsonl", "--json")
    assert code == 0, err
    run = json.loads(out)["data"]["training"]["runs"]["adapter"]
    said = f"output/x was trained on {place}/d/base, and these rows are of {place}/d/other"
    assert run["other_dataset"] == said
    assert said in err
    assert run["trained"] == 0


def forget_rows(run: Path) -> None:
    """As an earlier version left it."""
    (run / "training_rows.parquet").unlink()
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for key in ("dataset", "asked"):
        del record[key]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")


def test_of_an_earlier_run_it_is_derived_while_its_dataset_is_unchanged(place: Path, movielora: Command) -> None:
    forget_rows(place / "output/x")
    code, _, err = movielora("compare", "output/x", "--test-file", "d/base/train.json")
    assert code == 2
    assert "390 of the 390 rows were trained on by output/x" in err
    assert not (place / "output/x/training_rows.parquet").exists()


def test_of_an_earlier_run_on_a_changed_dataset_it_is_not_known(place: Path, movielora: Command) -> None:
    forget_rows(place / "output/x")
    prepare_again(place)
    code, out, err = movielora("compare", "output/x", "--json")
    assert code == 0, err
    run = json.loads(out)["data"]["training"]["runs"]["adapter"]
    assert (run["trained"], run["unknown"]) == (0, 240)
    assert "whether output/x was trained on 240 of the 240 rows is not known: it is of an earlier version" in err


def test_an_adapter_without_a_run_is_not_known(place: Path, movielora: Command) -> None:
    bare = place / "bare"
    bare.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(place / "output/x" / name, bare / name)
    code, out, err = movielora("compare", "--config", "base.yaml", "--adapter", "bare", "--output-dir", "b", "--json")
    assert code == 0, err
    assert json.loads(out)["data"]["training"]["runs"]["adapter"]["unknown"] == 60
    assert "is not known: its folder has no record of a run" in err


def test_a_damaged_record_is_one_sentence(place: Path, movielora: Command) -> None:
    (place / "output/x/training_rows.parquet").write_bytes(b"PAR1")
    code, _, err = movielora("compare", "output/x")
    assert code == 2
    assert "training_rows.parquet cannot be read" in err
    assert "Traceback" not in err


def test_external_scores_of_rows_that_the_baselines_learned_from(place: Path, movielora: Command) -> None:
    """7 rows of the training file among 20: without a model, as far as that can be known."""
    folder = place / "foreign"
    folder.mkdir()
    train, test = read_rows(place / "d/base/train.json"), read_rows(place / "d/base/test_raw.jsonl")
    write_rows(folder / "train.jsonl", train[:100])
    path = write_rows(folder / "test.jsonl", [*train[:7], *test[:13]])
    labels = [row.get("output", row.get("label")) for row in read_rows(path)]
    scores = write_rows(
        place / "scores.jsonl", [{"label": label, "log_odds": 0.1 * n} for n, label in enumerate(labels)]
    )
    words = ("compare", "--predictions", str(scores), "--test-file", "foreign/test.jsonl")
    code, _, err = movielora(*words)
    assert code == 2
    assert "7 of the 20 rows of foreign/test.jsonl are also in foreign/train.jsonl" in err
    code, out, err = movielora(*words, "--allow-overlap", "--json")
    assert code == 0, err
    assert json.loads(out)["data"]["training"]["in_training_split"] == 7
    assert "No fair test: 7 of the 20 rows" in json.loads(out)["verdict"]


def test_a_resumed_run_adds_to_its_record(place: Path, movielora: Command) -> None:
    """Resumed with other rows: those of both attempts were trained on."""
    words = ("train", "--config", "base.yaml", "--set", "output_dir=output/few")
    assert movielora(*words, "--set", "max_samples=50")[0] == 0
    longer = ("--set", "max_samples=80", "--set", "max_steps=4", "--set", "eval_steps=2", "--set", "save_steps=4")
    code, _, err = movielora(*words, "--resume", *longer)
    assert code == 0, err
    both = {*sample_rows(390, 50, 42).tolist(), *sample_rows(390, 80, 42).tolist()}
    assert len(both) > 80
    assert TrainedRows.read(place / "output/few").count() == len(both)


def test_runs_on_one_base_under_two_paths_are_compared(place: Path, movielora: Command) -> None:
    """The same weights in two folders; and other weights in a third, which are refused."""
    [tiny] = (place / "c").glob("tiny-base-*")
    for name in ("one", "two", "other"):
        shutil.copytree(tiny, place / name)
        if name == "other":
            config = json.loads((place / name / "config.json").read_text(encoding="utf-8"))
            (place / name / "config.json").write_text(json.dumps(config | {"rope_theta": 20_000.0}), encoding="utf-8")
        run = ("--set", f"model_name_or_path={name}", "--set", f"output_dir=output/{name}")
        code, _, err = movielora("train", "--config", "base.yaml", *run)
        assert code == 0, err
    code, _, err = movielora("compare", "output/one", "output/two", "--output-dir", "both")
    assert code == 0, err
    assert "the adapter was trained on" not in err
    code, _, err = movielora("compare", "output/one", "output/other", "--output-dir", "none")
    assert code == 2
    assert "are adapters of different bases" in err


OWN = {"system": "You know films.", "instruction": "Say Yes or No."}


def own_rows(place: Path, split: str, text: bool) -> list[dict[str, Any]]:
    """Rows of the dataset with a system text and an instruction of their own; as `text` in their own wording too."""
    found = []
    for row in read_rows(place / "d/base" / f"{split}.json"):
        listed = as_list(row)
        if text:
            shown = zip(listed["history_titles"], listed["history_ratings"], strict=True)
            lines = [f"{n}. {title} (rating ≈ {stars:g})" for n, (title, stars) in enumerate(shown, 1)]
            asked = "\n".join(["My list:", *lines, f"Next: {listed['candidate_title']}", "Like it?"])
            found.append({**OWN, "input": asked, "output": listed["label"]})
        else:
            found.append({**OWN, **listed})
    return found


def train_on_own_rows(place: Path, movielora: Command, *, text: bool) -> None:
    (place / "own").mkdir()
    for split in ("train", "eval"):
        write_rows(place / "own" / f"{split}.jsonl", own_rows(place, split, text))
    files = ("--set", "train_file=own/train.jsonl", "--set", "eval_file=own/eval.jsonl")
    code, _, err = movielora("train", "--config", "base.yaml", "--set", "output_dir=output/own", *files)
    assert code == 0, err


def log_odds(folder: Path) -> list[float]:
    return [row["adapter"]["log_odds"] for row in read_rows(folder / "predictions.jsonl")]


def test_rows_without_texts_are_asked_as_the_training_rows_were(place: Path, movielora: Command) -> None:
    """Test-form rows get the system text and instruction that all training rows brought: the same log-odds as rows
    that bring them, and others than in movielora's own words."""
    train_on_own_rows(place, movielora, text=False)
    plain = [{key: row[key] for key in row if key not in OWN} for row in read_rows(place / "d/base/test_raw.jsonl")]
    files = {"plain": plain, "own": [row | OWN for row in plain]}
    for name, rows in files.items():
        path = write_rows(place / f"{name}.jsonl", rows)
        code, _, err = movielora("compare", "output/own", "--test-file", str(path), "--output-dir", name)
        assert code == 0, err
    assert log_odds(place / "plain") == log_odds(place / "own")
    other = write_rows(place / "other.jsonl", [row | {"system": "Another."} for row in plain])
    words = ("compare", "output/own", "--test-file", str(other), "--output-dir", "other")
    code, _, err = movielora(*words)
    assert code == 2
    assert "60 of the 60 rows are asked in words that output/own was not trained with" in err
    assert "has the system text “Another.”, training had “You know films.”" in err
    code, out, err = movielora(*words, "--as-they-are", "--json")
    assert code == 0, err
    assert json.loads(out)["data"]["training"]["other_words"]["adapter"]["other"] == 60
    assert "No fair test: 60 of the 60 rows are asked in words" in json.loads(out)["verdict"]


def test_rows_that_cannot_be_rendered_as_the_training_rows_are_refused(place: Path, movielora: Command) -> None:
    """Trained on text in a wording of its own; titles that are numbered already would be shown as `1. 1. Film 7 …`."""
    train_on_own_rows(place, movielora, text=True)
    rows = []
    for row in read_rows(place / "d/base/test_raw.jsonl"):
        lines = zip(row["history_titles"], row.pop("history_ratings"), strict=True)
        numbered = [f"{n}. {title} (rating ≈ {stars:g})" for n, (title, stars) in enumerate(lines, 1)]
        rows.append(row | {"history_titles": numbered})
    path = write_rows(place / "numbered.jsonl", rows)
    code, _, err = movielora("compare", "output/own", "--test-file", str(path), "--output-dir", "n")
    assert code == 2
    assert f"60 of the 60 rows are asked in words that output/own was not trained with: {path} line 1" in err
    assert "--as-they-are" in err
    assert not (place / "n").exists()


def test_a_base_that_merge_made_is_asked_in_its_own_prompt(place: Path, movielora: Command) -> None:
    """A bare adapter on a merged model, whose prompt.json says how both are asked."""
    code, _, err = movielora("merge", "output/x", "--output-dir", "merged", "--rows", "5")
    assert code == 0, err
    spec = json.loads((place / "merged/prompt.json").read_text(encoding="utf-8"))
    (place / "merged/prompt.json").write_text(json.dumps(spec | {"instruction": "Judge."}), encoding="utf-8")
    (place / "bare").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(place / "output/x" / name, place / "bare" / name)
    # The merged model has seen the evaluation rows' dataset, never its test rows.
    words = ("--adapter", "bare", "--set", "model_name_or_path=merged", "--output-dir", "b")
    code, out, err = movielora("compare", "--config", "base.yaml", *words, "--json")
    assert code == 0, err
    assert json.loads(out)["prompt"]["instruction"] == "Judge."


def test_max_samples_records_the_rows_used(place: Path, movielora: Command) -> None:
    words = ("train", "--config", "base.yaml", "--set", "output_dir=output/few", "--set", "max_samples=50")
    code, _, err = movielora(*words, "--set", "max_eval_samples=20")
    assert code == 0, err
    recorded = TrainedRows.read(place / "output/few")
    assert (recorded.count(), recorded.count("eval")) == (50, 20)
    described = json.loads((place / "output/few/run.json").read_text(encoding="utf-8"))["dataset"]
    assert described["train"] == f"{place}/d/base/train.json"


def test_a_merged_model_brings_the_rows_that_its_adapter_saw(place: Path, movielora: Command) -> None:
    code, _, err = movielora("merge", "output/x", "--output-dir", "merged", "--rows", "5")
    assert code == 0, err
    assert TrainedRows.read(place / "merged").count() == 390
    shutil.copytree(place / "output/x", place / "output/z")
    TrainedRows().write(place / "output/z")
    prepare_again(place)
    code, _, err = movielora(
        "compare", "--config", "base.yaml", "--adapter", "output/z", "--set", "model_name_or_path=merged"
    )
    assert code == 2
    assert "120 of the 240 rows were trained on by merged, the base of output/z: " in err
    assert "output/z was trained on" not in err  # the dataset of its own rows is not the reason
