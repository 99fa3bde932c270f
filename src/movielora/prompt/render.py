"""The text of an example, by a prompt spec: the only place that renders films, candidate and question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from movielora.errors import DataError
from movielora.examples.example import Example
from movielora.examples.importers.rendered_text import known_films
from movielora.prompt.spec import OwnTextName, PromptSpec, Wording
from movielora.sources.titles import may_be_as_given, natural_title, one_line, shown_title

WORDING = Wording()


@dataclass(frozen=True, slots=True)
class RenderedText:
    """What is said to the model before the chat template goes around it.

    The user's text is `instruction`, a line break, and `before` + `history` + `after`; `history` is the film lines end
    to end, which a cutoff may shorten. `turns` are earlier question-answer pairs.
    """

    system: str
    instruction: str
    before: str
    history: str
    after: str
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def input(self) -> str:
        """The user's text without its instruction."""
        return self.before + self.history + self.after

    @property
    def characters(self) -> int:
        """Characters of all of it."""
        turns = sum(len(question) + len(answer) for question, answer in self.turns)
        return len(self.system) + turns + len(self.instruction) + len(self.input)


def render(example: Example, spec: PromptSpec) -> RenderedText:
    """The example's text: as it came if it is foreign text, otherwise rendered from its films.

    Raises DataError if the spec asks for a shorter history or another order of titles than a foreign text shows, which
    cannot be changed in it.
    """
    if example.text is not None:
        own = example.text
        _refuse_longer_text(example, spec)
        _refuse_titles_as_given(example, spec)
        return RenderedText(
            chosen_text("system", own.system, spec),
            chosen_text("instruction", own.instruction, spec),
            own.before, own.history, own.after, own.turns,
        )  # fmt: skip
    films = example.history or ()
    shown = films if spec.history_len is None else films[max(0, len(films) - spec.history_len) :]
    lines = number_lines([film_text(shown_title(film.title, spec.titles), film.rating) for film in shown])
    return RenderedText(
        chosen_text("system", example.system, spec),
        chosen_text("instruction", example.instruction, spec),
        before=f"{spec.wording.history_head}\n",
        history="".join(f"{line}\n" for line in lines),
        after=closing(shown_title(example.candidate or "", spec.titles), spec.wording),
    )


def fixed_text(spec: PromptSpec) -> RenderedText:
    """What is the same in every prompt that this spec renders: all but the history and the candidate's line."""
    return RenderedText(spec.system, spec.instruction, f"{spec.wording.history_head}\n", "", spec.wording.question)


def chosen_text(name: OwnTextName, own: str | None, spec: PromptSpec) -> str:
    """The system text or instruction that is shown: a row's `own`, unless the spec replaces it or it has none."""
    if own is not None and name not in spec.replaces:
        return own
    return spec.system if name == "system" else spec.instruction


def _refuse_longer_text(example: Example, spec: PromptSpec) -> None:
    lines = example.text.history.removesuffix("\n").count("\n") + 1 if example.text and example.text.history else 0
    if spec.history_len is not None and lines > spec.history_len:
        raise DataError(
            f"{example.place} is text that shows {lines} films, and the prompt shows at most {spec.history_len}: "
            "films cannot be chosen from text",
            f"--set prompt_history_len={lines}, or give the films as `history_titles`",
        )


def _refuse_titles_as_given(example: Example, spec: PromptSpec) -> None:
    if spec.titles != "natural" or example.text is None or not may_be_as_given(example.text.input):
        return
    films, candidate = known_films(example)
    for title in (*(film.title for film in films), candidate or ""):
        if natural_title(title) != title:
            raise DataError(
                f"{example.place} is text that shows `{title}`, and the prompt shows titles in natural order "
                f"(`{natural_title(title)}`): they cannot be changed in text",
                "--set prompt_titles=as_given, or give the films as `history_titles`",
            )


def render_input(
    titles: Sequence[str], ratings: Sequence[float] | None, candidate: str, wording: Wording = WORDING
) -> str:
    """One numbered line a film, the candidate, the question.

    `titles` and `ratings` (stars, 0.5 to 5) are oldest first and of equal length; without ratings the lines hold titles
    only. Whitespace inside a title, newlines included, becomes one space, so that a title is always one line.
    """
    return assemble_input(film_texts(titles, ratings), one_line(candidate), wording)


def assemble_input(films: Sequence[str], candidate: str, wording: Wording = WORDING) -> str:
    """`render_input` from pieces that are ready: `film_text` of each film, oldest first, and a one-line title."""
    return "\n".join([wording.history_head, *number_lines(films), closing(candidate, wording)])


def closing(candidate: str, wording: Wording) -> str:
    """What follows the history: the candidate's line and the question."""
    return f"{wording.candidate_head}{one_line(candidate)}\n{wording.question}"


def number_lines(films: Sequence[str]) -> list[str]:
    """`3. Heat (1995): 4.5` for each of `films` (`film_text`), numbered from 1, without line ends."""
    return [f"{number}. {film}" for number, film in enumerate(films, 1)]


def film_texts(titles: Sequence[str], ratings: Sequence[float] | None) -> list[str]:
    """`film_text` of each title with its rating; of the titles only, if there are no ratings."""
    if ratings is None:
        return [film_text(title, None) for title in titles]
    return [film_text(title, rating) for title, rating in zip(titles, ratings, strict=True)]


def film_text(title: str, rating: float | None) -> str:
    """`Heat (1995): 4.5`; the title by itself if there is no rating."""
    return one_line(title) + rating_text(rating)


def rating_text(rating: float | None) -> str:
    """What follows a title: `: 4.5`, or nothing."""
    return "" if rating is None else f": {rating:g}"
