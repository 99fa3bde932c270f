"""One question: some of a user's earlier films, a candidate film, and the true answer if it is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Film:
    """A film as an example shows it. `rating` is in stars; `item` is its id in the data it came from."""

    title: str
    rating: float | None = None
    item: int | str | None = None


@dataclass(frozen=True, slots=True)
class OwnText:
    """The text of a foreign record, which is asked as it came.

    The user's text is `instruction`, a line break, then `before` + `history` + `after`; `history` is its numbered film
    lines end to end, the only part that a cutoff may shorten. `system` is None if the record brings none. `turns` are
    earlier question-answer pairs of the conversation, usually none.
    """

    instruction: str
    before: str
    history: str
    after: str
    system: str | None = None
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def input(self) -> str:
        """The record's question without its instruction."""
        return self.before + self.history + self.after


@dataclass(frozen=True, slots=True)
class Example:
    """One question and, if it is known, its true answer.

    `history` is oldest first; it and `candidate` (a title) are None if the record is text, and `text` is then what the
    model is asked instead of a rendered prompt. `label` is True for Yes, None if the answer is unknown. `place` says
    where the example was read (`test_raw.jsonl line 3`). `user` and `item` (the candidate's) are ids, `time` is in unix
    seconds. `system` and `instruction` are texts that a structured record brings of its own.
    """

    history: tuple[Film, ...] | None
    candidate: str | None
    label: bool | None
    place: str
    user: int | str | None = None
    item: int | str | None = None
    time: float | None = None
    text: OwnText | None = None
    system: str | None = None
    instruction: str | None = None
