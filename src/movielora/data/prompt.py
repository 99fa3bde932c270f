"""How an example becomes text, and later tokens: the only place that does either."""

from __future__ import annotations

from collections.abc import Sequence

SYSTEM = "You predict whether a person will like a film. Answer with one word: Yes or No."
INSTRUCTION = (
    "Below are films a user rated, oldest first, each with the user's rating from 0.5 to 5 stars. "
    "Decide whether the same user will like the candidate film."
)
_HISTORY_HEAD = "Rated films:"
_CANDIDATE_HEAD = "Candidate film: "
_QUESTION = "Will this user like the candidate film? Answer Yes or No."


def render_input(
    history_titles: Sequence[str], history_ratings: Sequence[float] | None, candidate_title: str
) -> str:
    """The `input` of a record: one numbered line a film, the candidate, the question.

    `history_titles` and `history_ratings` (stars, 0.5 to 5) are oldest first and of equal length; without ratings
    the lines hold titles alone. Whitespace inside a title, newlines included, becomes one space, so that a title is
    always one line.
    """
    return "\n".join(
        [
            _HISTORY_HEAD,
            *history_lines(history_titles, history_ratings),
            f"{_CANDIDATE_HEAD}{one_line(candidate_title)}",
            _QUESTION,
        ]
    )


def history_lines(titles: Sequence[str], ratings: Sequence[float] | None) -> list[str]:
    """`3. Heat (1995): 4.5` for each film; `3. Heat (1995)` where there are no ratings."""
    if ratings is None:
        return [f"{number}. {one_line(title)}" for number, title in enumerate(titles, 1)]
    pairs = zip(titles, ratings, strict=True)
    return [f"{number}. {one_line(title)}: {rating:g}" for number, (title, rating) in enumerate(pairs, 1)]


def one_line(title: str) -> str:
    """A title without line breaks, tabs or doubled spaces."""
    return " ".join(title.split())
