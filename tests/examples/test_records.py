"""Records in both forms, and every way a file can be wrong: one sentence with file, line and field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.errors import DataError
from movielora.examples.example import Example, Film, OwnText
from movielora.examples.importers.records import read_records
from movielora.examples.importers.rendered_text import parse_films, split_history
from movielora.prompt.render import RenderedText, render, render_input
from movielora.prompt.spec import INSTRUCTION, SYSTEM, PromptSpec

TRAINING = {"instruction": "Judge.", "input": "Rated films:\n1. Heat: 4\nCandidate film: Ran", "output": "Yes"}
TEST = {"user_id": 7, "history_titles": ["Heat", "Up"], "candidate_title": "Ran", "label": "No"}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes | list[Any], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def refusal_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_records(path))
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


def only(path: Path) -> Example:
    (record,) = read_records(path)
    return record


def shown(example: Example) -> RenderedText:
    return render(example, PromptSpec())


def test_training_form(write: Write) -> None:
    extra = {"system": "Be brief.", "history": [["Hi", "Hello"]], "user_id": 3, "movie_id": "m5", "timestamp": 12}
    path = write([TRAINING | extra])
    assert only(path) == Example(
        history=None,
        candidate=None,
        label=True,
        place=f"{path} line 1",
        user=3,
        item="m5",
        time=12,
        text=OwnText(
            instruction="Judge.",
            before="Rated films:\n",
            history="1. Heat: 4\n",
            after="Candidate film: Ran",
            system="Be brief.",
            turns=(("Hi", "Hello"),),
        ),
    )
    assert shown(only(path)).input == "Rated films:\n1. Heat: 4\nCandidate film: Ran"


def test_test_form_is_rendered_by_the_same_template_instruction_included(write: Write) -> None:
    record = only(write([TEST | {"history_ratings": [4, 0.5]}]))
    text = shown(record)
    assert (text.system, text.instruction, text.turns, record.label) == (SYSTEM, INSTRUCTION, (), False)
    assert text.input == (
        "Rated films:\n1. Heat: 4\n2. Up: 0.5\nCandidate film: Ran\n"
        "Will this user like the candidate film? Answer Yes or No."
    )
    assert (record.history, record.candidate) == ((Film("Heat", 4.0), Film("Up", 0.5)), "Ran")


def test_test_form_without_ratings(write: Write) -> None:
    record = only(write([TEST]))
    assert shown(record).input.startswith("Rated films:\n1. Heat\n2. Up\nCandidate film: Ran\n")
    assert record.history == (Film("Heat"), Film("Up"))


def test_a_missing_or_null_system_is_the_default_and_an_empty_one_is_none(write: Write) -> None:
    systems = [
        shown(r).system for r in read_records(write([TRAINING, TRAINING | {"system": None}, TRAINING | {"system": ""}]))
    ]
    assert systems == [SYSTEM, SYSTEM, ""]


@pytest.mark.parametrize("field", ["output", "label"])
@pytest.mark.parametrize(("written", "label"), [("Yes", True), ("no", False), (" YES\n", True), ("No ", False)])
def test_labels_come_from_output_or_label_in_any_case(write: Write, field: str, written: str, label: bool) -> None:
    row = {key: value for key, value in TRAINING.items() if key != "output"} | {field: written}
    assert only(write([row])).label is label


def test_json_array_and_jsonl_give_the_same_records_with_their_place(write: Write) -> None:
    rows = [TRAINING, TEST, TRAINING]
    array, lines = write(json.dumps(rows, indent=1), "rows.json"), write(rows)
    from_array, from_lines = list(read_records(array)), list(read_records(lines))
    assert [record.place for record in from_array] == [f"{array} record {number}" for number in (1, 2, 3)]
    assert [record.place for record in from_lines] == [f"{lines} line {number}" for number in (1, 2, 3)]
    assert [shown(record).input for record in from_array] == [shown(record).input for record in from_lines]


def test_the_content_decides_and_not_the_name(write: Write) -> None:
    assert len(list(read_records(write(json.dumps([TRAINING, TEST]), "rows.jsonl")))) == 2
    assert len(list(read_records(write([TRAINING, TEST], "rows.json")))) == 2


def test_blank_lines_crlf_a_byte_order_mark_and_no_last_newline(write: Write) -> None:
    row = json.dumps(TRAINING)
    content = f"\ufeff\n\r\n{row}\r\n   \n{row}"
    places = [record.place.rpartition(" ")[2] for record in read_records(write(content))]
    assert places == ["3", "5"]
    assert len(list(read_records(write("\ufeff" + json.dumps([TRAINING]), "rows.json")))) == 1


def test_mixed_forms_and_duplicates_are_accepted(write: Write) -> None:
    records = list(read_records(write([TRAINING, TEST, TEST, TRAINING | {"user_id": 7}, TEST])))
    assert [record.user for record in records] == [None, 7, 7, 7, 7]


def test_unicode_line_separators_inside_a_text_do_not_end_the_line(write: Write) -> None:
    row = json.dumps(TRAINING | {"input": "a\u2028b\x85c\x0bd"}, ensure_ascii=False)
    assert shown(only(write(f"{row}\n"))).input == "a\u2028b\x85c\x0bd"


def test_records_are_read_as_they_are_needed(write: Write) -> None:
    path = write(json.dumps(TRAINING) + "\n" + "{broken\n")
    stream = read_records(path)
    assert next(stream).label is True
    with pytest.raises(DataError, match="line 2 is not JSON"):
        next(stream)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "{path} is empty"),
        (" \n\n", "{path} is empty"),
        ("\ufeff", "{path} is empty"),
        ("[]", "{path} holds an empty list"),
        ('{"input": "x", "output": "Yes"}\n\n{"input": oops}\n', "{path} line 3 is not JSON: expecting value"),
        ('[{"input": "x", "output": "Yes"},\n {"input": "y"\n', "{path} line 3 is not JSON: "),
        (b'{"input": "x", "output": "Yes"}\n{"input": "\xff\xfe"}\n', "{path} line 2 is not UTF-8 text"),
        (b'[{"input": "x", "output": "Yes"},\n\n{"input": "\xe9"}]', "{path} line 3 is not UTF-8 text"),
        ('{"input": "x", "output": "Yes"}\n' + "[" * 200_000, "{path} line 2 or below is nested too deeply"),
        ("[" * 200_000, "{path} line 1 or below is nested too deeply"),
        (
            '{"input": "x", "output": "Yes", "user_id": ' + "9" * 5000 + "}",
            "{path} line 1 or below holds a number with",
        ),
        ("{}\n", "{path} line 1 has no answer: neither `output` nor `label`"),
        ('{"label": "Yes"}', "{path} line 1 has none of the known forms"),
        ('{"label": "Yes", "history_titles": []}', "{path} line 1 has none of the known forms"),
        ("3\n", "{path} line 1 is no record but 3"),
        ('["a"]', '{path} record 1 is no record but "a"'),
    ],
)
def test_a_broken_file_is_named_with_its_line(write: Write, content: str | bytes, said: str) -> None:
    path = write(content)
    assert refusal_of(path).startswith(said.format(path=path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"output": "Maybe"}, '`output` is "Maybe", neither Yes nor No'),
        ({"output": "Yes."}, "neither Yes nor No"),
        ({"output": True}, "`output` is true, neither Yes nor No"),
        ({"output": None}, "`output` is null, neither Yes nor No"),
        ({"output": 1}, "`output` is 1, neither Yes nor No"),
        ({"output": ["Yes"]}, '`output` is ["Yes"], neither Yes nor No'),
        ({"input": 5}, "`input` must be text, not int"),
        ({"instruction": ["x"]}, "`instruction` must be text, not list"),
        ({"instruction": "", "input": " \n"}, "`instruction` and `input` are both empty"),
        ({"system": {}}, "`system` must be text, not dict"),
        ({"history": "x"}, "`history` must be a list of [question, answer] texts"),
        ({"history": [["only a question"]]}, "`history` must be a list of [question, answer] texts"),
        ({"history": [["a", 1]]}, "`history` must be a list of [question, answer] texts"),
        ({"user_id": 1.5}, "`user_id` must be a whole number or text"),
        ({"user_id": True}, "`user_id` must be a whole number or text"),
        ({"movie_id": []}, "`movie_id` must be a whole number or text"),
        ({"timestamp": "noon"}, "`timestamp` must be a number of seconds"),
        ({"timestamp": float("nan")}, "`timestamp` must be a number of seconds"),
        ({"timestamp": 10**400}, "`timestamp` must be a number of seconds"),
    ],
)
def test_a_wrong_field_of_a_training_record_is_named(write: Write, change: dict[str, Any], said: str) -> None:
    message = refusal_of(write([TRAINING, TRAINING | change]))
    assert " line 2" in message
    assert said in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"history_titles": "Heat"}, "`history_titles` must be a list of texts"),
        ({"history_titles": ["Heat", None]}, "`history_titles` must be a list of texts"),
        ({"candidate_title": None}, "`candidate_title` must be text, not NoneType"),
        ({"history_ratings": 4}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": ["4", "5"]}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": [4, True]}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": [4, float("nan")]}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": [4, float("inf")]}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": [4, 10**400]}, "`history_ratings` must be a list of numbers"),
        ({"history_ratings": [4]}, "`history_ratings` has 1 entries, `history_titles` 2"),
        ({"label": "liked"}, '`label` is "liked", neither Yes nor No'),
    ],
)
def test_a_wrong_field_of_a_test_record_is_named(write: Write, change: dict[str, Any], said: str) -> None:
    message = refusal_of(write([TEST | change]))
    assert " line 1" in message
    assert said in message


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "none.json") == f"{tmp_path / 'none.json'} does not exist"
    assert refusal_of(tmp_path) == f"{tmp_path} is a folder; name a JSON or JSONL file in it"


def test_lone_surrogates_become_question_marks_everywhere(write: Write) -> None:
    lone = "a\ud83cb"
    rows = [
        TRAINING | {"input": lone, "system": lone, "history": [[lone, lone]], "user_id": lone},
        TEST | {"history_titles": [lone], "candidate_title": lone},
    ]
    trained, tested = read_records(write(rows))
    text = shown(trained)
    assert (text.input, text.system, text.turns, trained.user) == ("a?b", "a?b", (("a?b", "a?b"),), "a?b")
    assert (tested.history, tested.candidate) == ((Film("a?b"),), "a?b")
    assert "1. a?b\nCandidate film: a?b\n" in shown(tested).input


def test_an_empty_history_is_a_history(write: Write) -> None:
    assert shown(only(write([TEST | {"history_titles": []}]))).input.startswith("Rated films:\nCandidate film: Ran\n")


def test_split_history_takes_the_longest_run_of_numbered_lines() -> None:
    text = "Read:\n1. this\n2. that\nRated films:\n1. A\n2. B\n3. C\nCandidate film: 7. Seven"
    before, history, after = split_history(text)
    assert before == ["Read:", "1. this", "2. that", "Rated films:"]
    assert history == ["1. A", "2. B", "3. C"]
    assert after == ["Candidate film: 7. Seven"]
    assert split_history("no list\n7.x\n") == (["no list", "7.x", ""][:0], [], ["no list", "7.x", ""])


TITLES = st.text(min_size=1).map(lambda title: " ".join(title.split())).filter(bool)
RATINGS = st.sampled_from([half / 2 for half in range(11)])


@given(st.lists(st.tuples(TITLES, RATINGS), min_size=1), TITLES)
def test_parse_films_finds_again_what_was_rendered(films: list[tuple[str, float]], candidate: str) -> None:
    titles, ratings = zip(*films, strict=True)
    history, asked = parse_films(render_input(titles, ratings, candidate))
    assert (tuple(film.title for film in history), tuple(film.rating for film in history)) == (titles, ratings)
    assert asked == candidate


def test_parse_films_without_ratings_and_of_another_shape() -> None:
    text = render_input(["Heat: 4 and more", "9"], None, "Ran")
    assert parse_films(text) == ((Film("Heat: 4 and more"), Film("9")), "Ran")
    assert parse_films("Tell me something") == ((), None)
