"""`compare` as real processes: stopped while it overwrites, continued, reopened, and given scores that do not fit."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny_training import Workplace, end_everything, make_workplace, wait_for

pytestmark = pytest.mark.timeout(300)

# Texts are decoded a row at a time and chunks are small: there is time to stop in the middle.
_SLOW = ("--config", "output/run/config.yaml", "--mode", "generate", "--set", "inference.chunk_size=4")
_FOREIGN = ("notes.txt", "run_abacus.jsonl")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A short training `output/run` with a finished comparison, its page, and two files of the user's."""
    place = make_workplace(tmp_path_factory.mktemp("overwrite"))
    place.train_here("run", "max_steps=4", "eval_steps=2", "save_steps=4")
    for words in (("compare", "output/run"), ("report", "output/run/comparison")):
        done = place.run(*words)
        assert done.returncode == 0, done.stderr
    folder = place.folder / "output" / "run" / "comparison"
    for name in _FOREIGN:
        (folder / name).write_text("mine", encoding="utf-8")
    yield place
    end_everything(place.folder)


@pytest.fixture
def run(workplace: Workplace, tmp_path: Path) -> Path:
    """A copy of the run to change, named as a shell has to quote it."""
    copy = workplace.folder / "output" / f"{tmp_path.name} it's"
    shutil.copytree(workplace.folder / "output" / "run", copy)
    return copy


def contents(folder: Path) -> dict[str, str]:
    """Hash by name of every file that is no lock; `.overwriting` left out."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != ".compare.lock"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_what_is_overwritten_stays_until_the_new_one_is_complete(
    workplace: Workplace, run: Path, number: signal.Signals
) -> None:
    folder = run / "comparison"
    before = contents(folder)
    words = ["compare", str(run), *_SLOW, "--overwrite"]
    scored = folder / ".overwriting" / "predictions.jsonl"
    child = workplace.start(*words)
    assert wait_for(lambda: lines_in(scored) >= 8, 120), workplace.last_stderr.read_text()
    child.send_signal(number)
    child.wait()
    kept = lines_in(scored)
    assert contents(folder) == before
    said = workplace.last_stderr.read_text(encoding="utf-8")
    assert "Traceback" not in said
    if number != signal.SIGKILL:
        rows = len((folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines())
        assert child.returncode == 75
        assert f"{kept} of {rows} rows scored; run again to continue" in said
        assert shlex.join(["movielora", *words]) in said
    shown = workplace.run("analyze", str(folder), "--json")
    assert json.loads(shown.stdout)["samples"] == len((folder / "predictions.jsonl").read_text().splitlines())

    again = workplace.run(*words, "--output-dir", str(folder))
    assert again.returncode == 0, again.stderr
    assert f"{kept} rows were scored already" in again.stderr
    afresh = workplace.run("compare", str(run), *_SLOW, "--output-dir", str(run / "afresh"))
    assert afresh.returncode == 0, afresh.stderr
    assert (folder / "predictions.jsonl").read_bytes() == (run / "afresh" / "predictions.jsonl").read_bytes()
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert comparison["output_dir"] == str(folder)
    left = {path.name for path in folder.iterdir()}
    assert {".overwriting", "report.html"}.isdisjoint(left)  # the page was of the earlier comparison
    assert all((folder / name).read_text(encoding="utf-8") == "mine" for name in _FOREIGN)


def modules_after(place: Workplace, *words: str) -> tuple[int, str, set[str]]:
    """Exit code, standard error and the modules that `movielora WORDS` loaded."""
    code = (
        "import sys\nfrom movielora.cli import main\n"
        "try:\n    main(sys.argv[1:])\n    code = 0\n"
        "except SystemExit as left:\n    code = left.code or 0\n"
        "print('LOADED', code, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=place.folder, capture_output=True, text=True, check=True
    )
    found = re.search(r"^LOADED (\d+) (.*)$", done.stdout, re.MULTILINE)
    assert found is not None
    return int(found[1]), done.stderr, set(found[2].split())


def test_a_finished_comparison_is_reopened_without_a_model(workplace: Workplace, run: Path) -> None:
    assert workplace.run("compare", str(run)).returncode == 0
    before = contents(run / "comparison")
    code, said, loaded = modules_after(workplace, "compare", str(run))
    assert code == 0
    assert "nothing has changed since" in said
    assert {"torch", "transformers", "sklearn"}.isdisjoint(loaded)
    assert contents(run / "comparison") == before


def test_a_comparison_of_a_former_adapter_says_so(workplace: Workplace) -> None:
    folder = workplace.folder / "output" / "twice" / "comparison"
    steps = ("max_steps=4", "eval_steps=2", "save_steps=4")
    workplace.train_here("twice", *steps)
    assert workplace.run("compare", "output/twice").returncode == 0
    assert "former adapter" not in workplace.run("report", "twice").stderr
    assert json.loads(workplace.run("analyze", "twice", "--json").stdout)["former_adapter"] is None

    workplace.train_here("twice", *steps, "learning_rate=1.0e-2", mode="overwrite")
    said = workplace.run("report", "twice").stderr
    assert "is of a former adapter" in said
    assert "movielora compare twice --overwrite measures it" in said
    assert "is of a former adapter" in (folder / "report.html").read_text(encoding="utf-8").split("<main")[0]
    found = workplace.run("analyze", "twice", "--json")
    assert "former adapter" in json.loads(found.stdout)["former_adapter"]
    assert "former adapter" in found.stderr
    # Moved together with its run, it is still compared with the run around it.
    (workplace.folder / "output" / "twice").rename(workplace.folder / "elsewhere")
    assert "is of a former adapter" in workplace.run("report", "elsewhere").stderr
    again = workplace.run("compare", "elsewhere", "--overwrite")
    assert again.returncode == 0, again.stderr
    assert "former adapter" not in workplace.run("report", "elsewhere").stderr


def test_two_runs_of_which_one_was_trained_again(workplace: Workplace) -> None:
    steps = ("max_steps=4", "eval_steps=2", "save_steps=4")
    workplace.train_here("other", *steps)
    assert workplace.run("compare", "output/other", "output/run").returncode == 0
    workplace.train_here("other", *steps, "learning_rate=1.0e-2", mode="overwrite")
    folder = "output/run/comparison-with-other"
    said = workplace.run("report", folder).stderr
    assert re.search(r"former adapter: \S*output/other has another one now", said)
    assert f"compare other run --output-dir {folder} --overwrite" in said
    assert "former adapter" not in workplace.run("report", "output/run/comparison").stderr


@pytest.mark.parametrize("changed", ["training data", "figures", "options"])
def test_a_comparison_is_measured_again_if_anything_changed(workplace: Workplace, run: Path, changed: str) -> None:
    assert workplace.run("compare", str(run)).returncode == 0
    comparison = run / "comparison" / "comparison.json"
    before = json.loads(comparison.read_text(encoding="utf-8"))
    train = workplace.folder / "data" / "d" / "train.json"
    examples, words = train.read_bytes(), []
    if changed == "training data":
        train.write_text(json.dumps(json.loads(examples)[:-5]), encoding="utf-8")
    if changed == "figures":
        comparison.write_text(json.dumps(before | {"verdict": "The adapter is perfect."}), encoding="utf-8")
    if changed == "options":
        write_scores(workplace, run.with_suffix(".jsonl"))
        words = ["--predictions", str(run.with_suffix(".jsonl"))]
    try:
        done = workplace.run("compare", str(run), *words)
    finally:
        train.write_bytes(examples)
    if changed == "figures":  # a file that somebody edited is not replaced
        assert done.returncode == 2
        assert "comparison.json in" in done.stderr
        assert json.loads(comparison.read_text(encoding="utf-8"))["verdict"] == "The adapter is perfect."
        comparison.unlink()
        done = workplace.run("compare", str(run))
    assert done.returncode == 0, done.stderr
    assert "nothing has changed since" not in done.stderr
    after = json.loads(comparison.read_text(encoding="utf-8"))
    assert after["verdict"] == before["verdict"]
    if changed == "training data":
        assert after["data"]["splits"]["rows"]["train"] == before["data"]["splits"]["rows"]["train"] - 5
    if changed == "options":
        assert after["models"]["others"].keys() == {run.name}


def write_scores(place: Workplace, path: Path, rows: int | None = None, wrong_label: bool = False) -> None:
    """External scores of the test rows of `output/run`."""
    lines = (place.folder / "output" / "run" / "comparison" / "predictions.jsonl").read_text(encoding="utf-8")
    scores = [{"label": json.loads(line)["label"], "log_odds": 0.5} for line in lines.splitlines()[:rows]]
    if wrong_label:
        scores[3]["label"] = {"Yes": "No", "No": "Yes"}[scores[3]["label"]]
    path.write_text("".join(f"{json.dumps(score)}\n" for score in scores), encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("missing", "does not exist"),
        ("short", r"has 7 rows, the comparison \d+"),
        ("mismatched", "`label` differs from row 3"),
    ],
)
def test_scores_that_do_not_fit_are_noticed_before_a_model_is_loaded(
    workplace: Workplace, run: Path, given: str, says: str
) -> None:
    scores = run / "theirs.jsonl"
    if given != "missing":
        write_scores(workplace, scores, 7 if given == "short" else None, wrong_label=given == "mismatched")
    words = ["compare", str(run), "--predictions", str(scores), "--output-dir", str(run / "new")]
    code, said, loaded = modules_after(workplace, *words)
    assert code == 2
    assert re.search(f"theirs.jsonl.*{says}", said), said
    assert {"torch", "transformers"}.isdisjoint(loaded)
    assert not (run / "new").exists()
