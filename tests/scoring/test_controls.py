"""The controls: other films in the same words, and what a line of predictions says of its example."""

from __future__ import annotations

import numpy as np
import pytest

from movielora.errors import DataError
from movielora.examples.example import Example, Film
from movielora.examples.importers.rendered_text import own_text, reask
from movielora.prompt.render import render_input
from movielora.scoring.controls import drop_history, shuffle_history
from movielora.scoring.predict import described

TITLES, STARS = ["Heat (1995)", "Up", "7. Seven", "Ran"], [4.5, 2, 5, 0.5]
FILMS = tuple(Film(title, rating) for title, rating in zip(TITLES, STARS, strict=True))
OWN_WORDS = "Rules:\n1. Be fair\n\nSeen:\n2. Heat: 4.0\n3. Up: 2.5\n4. Ran: 5\nCandidate film: Alien\nYes or no?"


def as_text(text: str) -> Example:
    return Example(None, None, True, "line 1", text=own_text(text, "Judge.", "Be brief.", (("Hello?", "Hi."),)))


def input_of(example: Example) -> str:
    assert example.text is not None
    return example.text.input


@pytest.mark.parametrize("row", range(6))
@pytest.mark.parametrize("rated", [True, False])
def test_a_rendered_text_is_shuffled_as_if_it_were_rendered_again(row: int, rated: bool) -> None:
    stars = STARS if rated else None
    order = np.random.default_rng([20_260_102, row]).permutation(4).tolist()
    shuffled = shuffle_history(as_text(render_input(TITLES, stars, "Alien")), row)
    moved = render_input([TITLES[n] for n in order], [STARS[n] for n in order] if rated else None, "Alien")
    assert shuffled == as_text(moved)
    dropped = drop_history(as_text(render_input(TITLES, stars, "Alien")), row)
    assert input_of(dropped) == render_input([], None, "Alien")
    structured = Example(FILMS, "Alien", True, "row 1")
    assert shuffle_history(structured, row).history == tuple(FILMS[n] for n in order)
    assert drop_history(structured, row).history == ()


def test_a_text_in_other_words_keeps_them() -> None:
    """Only the films change: another wording would be a second difference to what the adapter was asked."""
    text = reask(as_text(OWN_WORDS), [2, 0, 1]).text
    assert text is not None
    assert text.input == (
        "Rules:\n1. Be fair\n\nSeen:\n1. Ran: 5\n2. Heat: 4.0\n3. Up: 2.5\nCandidate film: Alien\nYes or no?"
    )
    assert (text.instruction, text.system, text.turns) == ("Judge.", "Be brief.", (("Hello?", "Hi."),))
    assert input_of(drop_history(as_text(OWN_WORDS), 0)) == (
        "Rules:\n1. Be fair\n\nSeen:\nCandidate film: Alien\nYes or no?"
    )


def test_a_text_without_films_is_refused_and_one_without_a_history_stays() -> None:
    for control in (shuffle_history, drop_history):
        with pytest.raises(DataError, match="line 1: no films can be read from `input`"):
            control(as_text("Do they like Ran?"), 0)
        bare = as_text(render_input([], None, "Ran"))
        assert control(bare, 0) == bare


def test_a_line_of_predictions_holds_the_films_of_a_text() -> None:
    text = render_input(TITLES, STARS, "Alien")
    shown = described(as_text(text))
    assert shown == {
        "instruction": "Judge.",
        "input": text,
        "candidate_title": "Alien",
        "history_titles": TITLES,
        "history_ratings": STARS,
    }
    assert described(as_text("Do they like Ran?")) == {"instruction": "Judge.", "input": "Do they like Ran?"}
    assert "history_ratings" not in described(as_text(render_input(TITLES, None, "Alien")))
