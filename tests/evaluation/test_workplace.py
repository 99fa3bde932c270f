"""Where a comparison is written: what is kept, what is refused, and what a kill at any step of an exchange leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from movielora.cli import main
from movielora.errors import OutputError
from movielora.evaluation.report.build import write_report
from movielora.evaluation.saved.folder import ComparisonFolder
from movielora.evaluation.saved.own_files import grow_own, list_written, write_own, write_own_json, write_own_lines
from movielora.evaluation.saved.workplace import open_folder, settle
from movielora.progress import SILENT
from synthetic_comparison import Invented, invent_comparison

# Other people's files, some named almost as movielora's.
FOREIGN = ("notes.txt", "run_abacus.jsonl", "predictions.csv", "selection.csv")


class Killed(BaseException):
    """The process ends here."""


def inputs(which: str) -> dict[str, object]:
    return {"test_file": which * 64, "rows": 2}


def line(of: str) -> str:
    scored = {"log_odds": 0.5, "p_yes": 0.62, "answer_mass": 1.0, "prediction": "Yes"}
    return json.dumps({"row": 0, "label": "Yes", "base": scored, "of": of}) + "\n"


def write(folder: ComparisonFolder, inputs_of: str, *, overwrite: bool = False, stop: bool = False) -> None:
    """A comparison of two runs whose files all say which one it is; `stop`: killed before it is complete."""
    with open_folder(folder, inputs(inputs_of), overwrite=overwrite, reporter=SILENT) as working:
        for path in [working.predictions] if inputs_of == "b" else [working.run_predictions("a"), working.predictions]:
            grow_own(working, path)
            path.write_text(line(inputs_of), encoding="utf-8")
        write_own_json(working, working.rows, {"baselines": [], "best_baseline": "", "slices": [], "of": inputs_of})
        if stop:
            raise Killed
        write_own_json(working, working.made_from, {"files": {}, "from": {}, "rows": 1, "of": inputs_of})
        comparison = {"buckets": {}, "difference": {}, "models": {}, "verdict": {}, "of": inputs_of}
        write_own_json(working, working.comparison, comparison)
    list_written(folder)


def is_whole(folder: ComparisonFolder, which: str) -> bool:
    """Every file of the one comparison, none of the other, and those of other people."""
    runs = {"run_a.jsonl"} if which == "a" else set()
    ours = {"inputs.json", "predictions.jsonl", "rows.json", "made_from.json", "comparison.json", *runs}
    found = {path.name for path in folder.root.iterdir()} - {".compare.lock", ".written.json", ".overwriting"}
    texts = [(folder.root / name).read_text(encoding="utf-8") for name in ours - {"inputs.json"} if name in found]
    return (
        found - {"report.html"} == ours | set(FOREIGN)
        and {json.loads(text)["of"] for text in texts} == {which}
        and json.loads(folder.inputs.read_text(encoding="utf-8")) == inputs(which)
        and all((folder.root / name).read_text(encoding="utf-8") == "mine" for name in FOREIGN)
    )


@pytest.fixture
def folder(tmp_path: Path) -> ComparisonFolder:
    """A finished comparison "a", with files of other people beside it."""
    made = ComparisonFolder(tmp_path / "comparison")
    write(made, "a")
    for name in FOREIGN:
        (made.root / name).write_text("mine", encoding="utf-8")
    return made


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The process ends before the file operation of number `step`; yields how many there were."""
    counted = [0]
    with monkeypatch.context() as patched:
        for name in ("unlink", "replace", "rmdir"):
            really = getattr(Path, name)

            def until(path: Path, *rest: object, really: object = really, **options: object) -> object:
                if path.parent.name in ("comparison", ".overwriting") and not path.name.endswith((".tmp", ".lock")):
                    if counted[0] == step:
                        raise Killed
                    counted[0] += 1
                return really(path, *rest, **options)  # type: ignore[operator]

            patched.setattr(Path, name, until)
        yield counted


def test_a_kill_at_any_step_of_an_exchange_loses_nothing(
    folder: ComparisonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = 0
    while True:
        with killed_at(step, monkeypatch) as counted:
            try:
                write(folder, "b", overwrite=True)
                break
            except Killed:
                pass
        settle(folder)  # what `analyze` and `report` do first
        assert is_whole(folder, "a") or is_whole(folder, "b"), f"killed at step {step}"
        if is_whole(folder, "b"):
            assert not folder.overwriting.result_files()[-1].exists()
            write(folder, "a", overwrite=True)
            assert not folder.overwriting.root.exists()
        step += 1
    assert step == counted[0] > 10
    assert is_whole(folder, "b")


def test_an_interrupted_overwriting_keeps_the_earlier_and_is_continued(folder: ComparisonFolder) -> None:
    folder.report.write_text('<!doctype html>…<script type="application/json" id="data">', encoding="utf-8")
    with pytest.raises(Killed):
        write(folder, "b", overwrite=True, stop=True)
    assert is_whole(folder, "a")
    assert folder.report.is_file()
    # The inputs of the earlier show the earlier, others are refused, and its own continue it.
    with open_folder(folder, inputs("a"), overwrite=False, reporter=SILENT) as working:
        assert working == folder
    with (
        pytest.raises(OutputError, match="other inputs"),
        open_folder(folder, inputs("c"), overwrite=False, reporter=SILENT),
    ):
        pass
    with open_folder(folder, inputs("b"), overwrite=False, reporter=SILENT) as working:
        assert working.predictions.read_text(encoding="utf-8") == line("b")
    write(folder, "b")
    assert is_whole(folder, "b")
    assert not folder.report.exists()  # it was of the earlier
    assert not folder.overwriting.root.exists()


def test_another_overwriting_begins_anew(folder: ComparisonFolder) -> None:
    with pytest.raises(Killed):
        write(folder, "b", overwrite=True, stop=True)
    (folder.overwriting.root / "theirs").write_text("mine", encoding="utf-8")
    with open_folder(folder, inputs("c"), overwrite=True, reporter=SILENT) as working:
        assert not working.predictions.exists()
    assert (folder.overwriting.root / "theirs").read_text(encoding="utf-8") == "mine"
    assert is_whole(folder, "a")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["report.html", "comparison.json", "rows.json", "predictions.jsonl", "run_a.jsonl", "inputs.json"]
)
def test_a_folder_with_somebody_elses_files_is_refused_by_their_names(
    tmp_path: Path, name: str, overwrite: bool
) -> None:
    (tmp_path / name).write_text('{"mine": true}', encoding="utf-8")
    with (
        pytest.raises(OutputError, match=name),
        open_folder(ComparisonFolder(tmp_path), inputs("a"), overwrite=overwrite, reporter=SILENT),
    ):
        pass
    assert (tmp_path / name).read_text(encoding="utf-8") == '{"mine": true}'


@pytest.mark.parametrize("name", ["predictions.jsonl", "run_a.jsonl", "run_b_eval.jsonl", "comparison.json"])
@pytest.mark.parametrize("theirs", ["text", "edited", "copied", "linked"])
@pytest.mark.parametrize("same", [True, False], ids=["continued", "overwritten"])
def test_a_file_that_movielora_did_not_write_is_refused_by_its_name(
    folder: ComparisonFolder, name: str, theirs: str, same: bool
) -> None:
    """Also one that holds what movielora writes, but not there: a copy of the scores under another name."""
    place = folder.root / name
    before = (place if place.exists() else folder.predictions).read_text(encoding="utf-8")
    content = {"text": "mine\n", "edited": before + "\n"}.get(theirs, before)
    place.unlink(missing_ok=True)
    kept = folder.root.parent / "kept" if theirs == "linked" else place
    kept.write_text(content, encoding="utf-8")
    if theirs == "linked":
        place.symlink_to(kept)
    if theirs == "copied" and name in ("predictions.jsonl", "run_a.jsonl", "comparison.json"):
        write(folder, "a" if same else "b", overwrite=not same)  # as it was
        return
    with (
        pytest.raises(OutputError, match=f"^{name} in .* not as movielora wrote"),
        open_folder(folder, inputs("a" if same else "b"), overwrite=not same, reporter=SILENT),
    ):
        pass
    assert kept.read_text(encoding="utf-8") == content
    assert place.is_symlink() == (theirs == "linked")


@pytest.mark.parametrize("name", ["predictions.jsonl", "comparison.json", "made_from.json", "run_a.jsonl"])
def test_an_interrupted_first_comparison_does_not_prove_files_put_beside_it(tmp_path: Path, name: str) -> None:
    folder = ComparisonFolder(tmp_path / "comparison")
    with pytest.raises(Killed):
        write(folder, "b", stop=True)
    foreign = line("b") if name == "run_a.jsonl" else '{"mine": true}\n'
    (folder.root / name).write_text(foreign, encoding="utf-8")
    with pytest.raises(OutputError, match=name):
        write(folder, "b")
    assert (folder.root / name).read_text(encoding="utf-8") == foreign
    (folder.root / name).unlink()
    write(folder, "b")  # continued


def test_a_file_put_in_the_way_while_rows_are_scored_is_kept(folder: ComparisonFolder) -> None:
    theirs = folder.root / "predictions_eval.jsonl"

    def score() -> None:
        with open_folder(folder, inputs("b"), overwrite=True, reporter=SILENT) as working:
            write_own_json(working, working.comparison, {"of": "b"})
            theirs.write_text("mine", encoding="utf-8")

    with pytest.raises(OutputError, match=r"predictions_eval\.jsonl"):
        score()
    assert theirs.read_text(encoding="utf-8") == "mine"
    theirs.unlink()
    settle(folder)
    assert json.loads(folder.comparison.read_text(encoding="utf-8")) == {"of": "b"}


def refused(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


@pytest.mark.parametrize("recorded", [True, False], ids=["hash kept", "of an earlier version"])
def test_a_page_is_replaced_only_if_movielora_wrote_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recorded: bool
) -> None:
    made = invent_comparison(tmp_path, users=8, films=30)
    page = write_report(made.folder.root)
    if not recorded:
        made.folder.written.unlink()
    write_report(made.folder.root)
    page.write_text("my own page", encoding="utf-8")
    assert refused("report", str(made.folder.root)) == 2
    said = capsys.readouterr().err
    assert f"{page} is not as movielora wrote it, so it is not replaced" in said
    assert "mv " in said
    assert page.read_text(encoding="utf-8") == "my own page"
    assert refused("analyze", str(made.folder.root)) == 2
    page.unlink()
    assert write_report(made.folder.root).is_file()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_edited_export_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    made = invent_comparison(tmp_path, users=8, films=30)
    words = ("analyze", str(made.folder.root), "--export", form)
    main_quietly(*words), main_quietly(*words, "--bucket", "fixed")  # its own is replaced
    export = made.folder.root / f"selection.{form}"
    edited = export.read_text(encoding="utf-8") + "with a note of mine\n"
    export.write_text(edited, encoding="utf-8")
    assert refused(*words) == 2
    assert "is not as movielora wrote it" in capsys.readouterr().err
    assert export.read_text(encoding="utf-8") == edited


def test_a_link_in_place_of_the_page_is_not_followed(invented: Invented, tmp_path: Path) -> None:
    made = invent_comparison(tmp_path, users=8, films=30)
    theirs = tmp_path / "theirs.html"
    theirs.write_text("mine", encoding="utf-8")
    made.folder.report.symlink_to(theirs)
    with pytest.raises(OutputError, match="is not as movielora wrote it"):
        write_report(made.folder.root)
    assert theirs.read_text(encoding="utf-8") == "mine"
    assert made.folder.report.is_symlink()


def main_quietly(*words: str) -> None:
    try:
        main(list(words))
    except SystemExit as left:
        assert not left.code  # noqa: PT017


def test_an_earlier_folder_is_still_movieloras(tmp_path: Path) -> None:
    """inputs.json as version 1 wrote it proves whose the folder is."""
    import shutil

    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "comparison_v1", tmp_path / "c")
    folder = ComparisonFolder(tmp_path / "c")
    before = json.loads(folder.inputs.read_text(encoding="utf-8"))
    with open_folder(folder, before, overwrite=False, reporter=SILENT) as working:
        assert working == folder
    with open_folder(folder, inputs("b"), overwrite=True, reporter=SILENT) as working:
        write_own_json(working, working.comparison, {"new": True})
    assert json.loads(folder.comparison.read_text(encoding="utf-8")) == {"new": True}
    assert not folder.predictions.exists()


def test_a_comparisons_files_are_as_open_as_the_umask_says(tmp_path: Path) -> None:
    """A page is there to be shared; predictions.jsonl beside it is written so too."""
    (tmp_path / "plain").touch()
    folder = ComparisonFolder(tmp_path)
    write_own(folder, tmp_path / "report.html", "<!doctype html>")
    write_own_json(folder, tmp_path / "comparison.json", {})
    write_own_lines(folder, tmp_path / "lines.jsonl", [{}])
    for name in ("report.html", "comparison.json", "lines.jsonl"):
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode
