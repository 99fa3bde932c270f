"""The prompt spec: what a config asks for, and `prompt.json`, which every adapter brings with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from movielora.config import Config
from movielora.errors import DataError
from movielora.examples.example import Example, Film
from movielora.examples.importers.rendered_text import own_text
from movielora.prompt.render import render
from movielora.prompt.spec import INSTRUCTION, SYSTEM, PromptSpec, Wording, read_prompt_file, write_prompt_file

FILMS = tuple(Film(f"Film {number}", float(number)) for number in range(1, 6))
STRUCTURED = Example(FILMS, "Ran", True, "row 1")
TEXT = Example(None, None, True, "row 2", text=own_text("1. A: 4\n2. B: 3\nAnd C?", "Judge.", "Be brief."))


def test_the_default_shows_all_that_an_example_brings_in_todays_words() -> None:
    text = render(STRUCTURED, PromptSpec())
    assert (text.system, text.instruction) == (SYSTEM, INSTRUCTION)
    assert text.input == (
        "Rated films:\n1. Film 1: 1\n2. Film 2: 2\n3. Film 3: 3\n4. Film 4: 4\n5. Film 5: 5\n"
        "Candidate film: Ran\nWill this user like the candidate film? Answer Yes or No."
    )


def test_a_shorter_history_is_the_newest_films_numbered_from_one() -> None:
    text = render(STRUCTURED, PromptSpec(history_len=2))
    assert text.history == "1. Film 4: 4\n2. Film 5: 5\n"
    assert render(STRUCTURED, PromptSpec(history_len=9)).history.count("\n") == 5


def test_a_history_that_is_text_cannot_be_shortened_and_says_so() -> None:
    assert render(TEXT, PromptSpec(history_len=2)).input == "1. A: 4\n2. B: 3\nAnd C?"
    with pytest.raises(DataError) as caught:
        render(TEXT, PromptSpec(history_len=1))
    assert caught.value.message.startswith("row 2 is text that shows 2 films, and the prompt shows at most 1")


def test_own_texts_stay_unless_the_config_replaces_them() -> None:
    own = render(TEXT, PromptSpec())
    assert (own.system, own.instruction) == ("Be brief.", "Judge.")
    spec = PromptSpec.of_config(Config(system_prompt="Say Yes.", instruction="Guess."))
    for example in (TEXT, STRUCTURED):
        found = render(example, spec)
        assert (found.system, found.instruction) == ("Say Yes.", "Guess.")


@pytest.mark.parametrize(
    ("config", "dataset", "shown"),
    [
        (None, "natural", "natural"),
        (None, "as_given", "as_given"),
        ("as_given", "natural", "as_given"),
        ("natural", "as_given", "natural"),
    ],
)
def test_titles_are_the_configs_or_the_datasets(config: Any, dataset: Any, shown: str) -> None:
    assert PromptSpec.of_config(Config(prompt_titles=config), dataset_titles=dataset).titles == shown


def test_text_of_another_tool_keeps_its_titles_and_is_refused_where_they_differ_from_the_prompts() -> None:
    natural = PromptSpec(titles="natural")
    text = "Rated films:\n1. Heat (1995): 4\n2. Matrix, The (1999): 3\nCandidate film: Ran (1985)\nWell?"
    example = Example(None, None, True, "rows.json line 7", text=own_text(text))
    assert render(example, PromptSpec()).input == text
    with pytest.raises(DataError) as refused:
        render(example, natural)
    assert refused.value.message == (
        "rows.json line 7 is text that shows `Matrix, The (1999)`, and the prompt shows titles in natural order "
        "(`The Matrix (1999)`): they cannot be changed in text"
    )
    asked = own_text("1. Heat (1995): 4\nCandidate film: Topo, El (1970)\nWell?")
    with pytest.raises(DataError, match=r"`Topo, El \(1970\)`"):
        render(Example(None, None, True, "row", text=asked), natural)
    for text in ("1. Die, Mommie, Die (2003): 4\nCandidate film: The Matrix\nWell?", "Judge, The (old) man."):
        assert render(Example(None, None, True, "row", text=own_text(text)), natural).input == text


@pytest.mark.parametrize(("config", "dataset", "shown"), [(None, 15, 15), (4, 15, 4), (None, None, None), (4, None, 4)])
def test_the_history_length_is_the_configs_or_the_datasets(
    config: int | None, dataset: int | None, shown: int | None
) -> None:
    assert PromptSpec.of_config(Config(prompt_history_len=config), dataset).history_len == shown


@pytest.mark.parametrize(
    "spec",
    [
        PromptSpec(),
        PromptSpec(history_len=7).replacing("instruction", 'Say "Yes" {title} \u2028'),
        PromptSpec(wording=Wording("Seen:", "Next: ", "Like?")),
        PromptSpec(titles="natural"),
    ],
)
def test_a_spec_comes_back_from_its_file(tmp_path: Path, spec: PromptSpec) -> None:
    assert read_prompt_file(tmp_path) is None
    write_prompt_file(tmp_path, spec)
    assert read_prompt_file(tmp_path) == spec


def _changed(**fields: Any) -> Any:
    return PromptSpec().to_json() | fields


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        json.dumps({}),
        json.dumps(_changed(schema=2)),
        json.dumps(_changed(history="similar")),
        json.dumps(_changed(history_len=0)),
        json.dumps(_changed(history_len=True)),
        json.dumps(_changed(system=None)),
        json.dumps(_changed(titles="shouted")),
        json.dumps(_changed(replaces=["titles"])),
        json.dumps(_changed(wording={"history_head": "x"})),
        json.dumps(_changed(context=["user"])),
        json.dumps(_changed(wording=PromptSpec().to_json()["wording"] | {"line": "{title}"})),
    ],
)
def test_a_damaged_or_newer_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "prompt.json").write_text(content)
    with pytest.raises(DataError, match=r"prompt\.json is no prompt spec that this version can read"):
        read_prompt_file(tmp_path)
