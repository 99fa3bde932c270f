"""In which words rows are asked, and whether the spec of a run renders other rows in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.examples.example_set import ListedExamples
from movielora.examples.importers.records import read_records
from movielora.prompt.asked_words import (
    BARE,
    NUMBERED_TWICE,
    OWN_LINES,
    OWN_WORDS,
    RATED,
    AskedWords,
    row_words,
    with_common_texts,
)
from movielora.prompt.render import render
from movielora.prompt.spec import PromptSpec

SPEC = PromptSpec()
FILMS = {"history_titles": ["Heat (1995)", "Ran (1985)"], "history_ratings": [4.5, 2]}
LISTED = {**FILMS, "candidate_title": "Alien (1979)", "label": "Yes"}
TEXT = "Rated films:\n1. Heat (1995): 4.5\n2. Ran (1985): 2\nCandidate film: Alien (1979)\n"
QUESTION = SPEC.wording.question


def rows(folder: Path, *records: dict[str, Any]) -> ListedExamples:
    path = folder / "rows.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return ListedExamples.of("rows", read_records(path))


def alpaca(text: str, **more: Any) -> dict[str, Any]:
    return {"instruction": SPEC.instruction, "input": text, "output": "Yes", **more}


def test_both_forms_of_a_row_are_in_the_same_words(tmp_path: Path) -> None:
    listed, text = rows(tmp_path, LISTED, alpaca(TEXT + QUESTION))
    assert row_words(listed, SPEC) == row_words(text, SPEC)
    assert row_words(listed, SPEC).lines == RATED


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        ({**LISTED, "history_ratings": None}, BARE),
        ({**LISTED, "history_titles": ["1. Heat (rating ≈ 4.5)", "2. Ran (rating ≈ 2)"]}, NUMBERED_TWICE),
        ({**LISTED, "history_titles": ["1. Heat", "Ran"]}, RATED),
        ({**LISTED, "history_titles": [], "history_ratings": []}, None),
        (alpaca(TEXT.replace(": 2\n", ": 2.0\n") + QUESTION), OWN_LINES),
        (alpaca("1. Heat\n2. Ran\nNext: Alien\nLike it?"), OWN_WORDS),
        (alpaca("Did she like Heat?"), OWN_WORDS),
    ],
)
def test_how_lines_are_written(tmp_path: Path, record: dict[str, Any], lines: str | None) -> None:
    [example] = rows(tmp_path, {key: value for key, value in record.items() if value is not None})
    assert row_words(example, SPEC).lines == lines


@pytest.mark.parametrize(
    ("record", "aspects"),
    [
        (LISTED, []),
        ({**LISTED, "system": "Another."}, ["system"]),
        ({**LISTED, "instruction": "Another."}, ["instruction"]),
        (alpaca(TEXT + "Like it?"), ["wording"]),
        ({**LISTED, "history_ratings": None}, ["lines"]),
        (alpaca("Did she like Heat?"), ["wording", "lines"]),
    ],
)
def test_other_words_are_found(tmp_path: Path, record: dict[str, Any], aspects: list[str]) -> None:
    trained = AskedWords.of(rows(tmp_path, LISTED), SPEC)
    assert AskedWords.from_json(json.loads(json.dumps(trained.to_json()))) == trained
    [example] = rows(tmp_path, {key: value for key, value in record.items() if value is not None})
    assert trained.other_aspects(row_words(example, SPEC)) == aspects


def test_free_text_accepts_any(tmp_path: Path) -> None:
    """Every instruction is another: one more of them is nothing new, and its system text still is."""
    trained = AskedWords.of(rows(tmp_path, *(LISTED | {"instruction": f"User {n}."} for n in range(40))), SPEC)
    assert trained.texts["instruction"] is None
    [example] = rows(tmp_path, LISTED | {"instruction": "User 99.", "system": "Another."})
    assert trained.other_aspects(row_words(example, SPEC)) == ["system"]


def test_long_texts_are_recorded_by_their_hash(tmp_path: Path) -> None:
    whole = AskedWords.of(rows(tmp_path, LISTED | {"system": "long " * 2_000}), SPEC)
    assert with_common_texts(SPEC, whole).system == "long " * 2_000
    assert len(json.dumps(whole.to_json())) < 2_000
    trained = AskedWords.from_json(whole.to_json())
    assert trained is not None
    assert trained.joined(whole) == trained
    same, other = rows(tmp_path, LISTED | {"system": "long " * 2_000}, LISTED | {"system": "long " * 2_000 + "!"})
    assert trained.other_aspects(row_words(same, SPEC)) == []
    assert trained.other_aspects(row_words(other, SPEC)) == ["system"]


@pytest.mark.parametrize(
    "record",
    [
        {**LISTED, "system": "You know films.", "instruction": "Judge."},
        alpaca(TEXT + "Like it?", instruction="", system="You know films."),
        alpaca(TEXT.replace("Rated films:", "Seen so far:") + "Does she like it?\nYes or No:"),
    ],
    ids=["films with texts", "text", "another wording"],
)
def test_a_row_without_texts_is_rendered_as_the_training_rows_were(tmp_path: Path, record: dict[str, Any]) -> None:
    """The rows bring one system text, instruction and wording: they become the spec's, character for character."""
    own, plain = rows(tmp_path, record, LISTED)
    spec = with_common_texts(SPEC, AskedWords.of(rows(tmp_path, record, record), SPEC))
    assert render(plain, spec) == render(own, spec) == render(own, SPEC)
    assert render(plain, spec) != render(plain, SPEC)


@pytest.mark.parametrize(
    "records",
    [
        [LISTED | {"system": "One."}, LISTED | {"system": "Two."}],
        [LISTED | {"system": "One."}, LISTED],
        [alpaca(TEXT.replace(": 2\n", ": 2.0\n") + "Like it?")],
        [alpaca("Two lines\n" + TEXT + "Like it?")],
        [alpaca("1. Heat\n2. Ran\nNext: Alien\nLike it?")],
    ],
)
def test_texts_that_are_not_of_all_rows_stay_out_of_the_spec(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    assert with_common_texts(SPEC, AskedWords.of(rows(tmp_path, *records), SPEC)) == SPEC
