"""How an example becomes the text that a model reads: the only place that renders, and that calls a chat template.

Training, evaluation, `compare` and `audit` all come through here, so the prompt a model is trained on is the prompt
it is asked with. The prompt is the chat template with the generation prompt and `enable_thinking=False` (for Qwen3:
up to and including the empty thinking block); the answer is `Yes<|im_end|>` or `No<|im_end|>`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from movielora.errors import ModelError
from movielora.sources.titles import one_line

if TYPE_CHECKING:
    from movielora.examples.records import Record

SYSTEM = "You predict whether a person will like a film. Answer with one word: Yes or No."
INSTRUCTION = (
    "Below are films a user rated, oldest first, each with the user's rating from 0.5 to 5 stars. "
    "Decide whether the same user will like the candidate film."
)
_HISTORY_HEAD = "Rated films:"
_CANDIDATE_HEAD = "Candidate film: "
_QUESTION = "Will this user like the candidate film? Answer Yes or No."


def render_input(history_titles: Sequence[str], history_ratings: Sequence[float] | None, candidate_title: str) -> str:
    """The `input` of a record: one numbered line a film, the candidate, the question.

    `history_titles` and `history_ratings` (stars, 0.5 to 5) are oldest first and of equal length; without ratings
    the lines hold titles alone. Whitespace inside a title, newlines included, becomes one space, so that a title is
    always one line.
    """
    return assemble_input(film_texts(history_titles, history_ratings), one_line(candidate_title))


def assemble_input(films: Sequence[str], candidate: str) -> str:
    """`render_input` from pieces that are ready: `film_text` of each film, oldest first, and a one-line title.

    `prepare` renders each film once and not once an example.
    """
    return "\n".join([_HISTORY_HEAD, *number_lines(films), f"{_CANDIDATE_HEAD}{candidate}", _QUESTION])


def history_lines(titles: Sequence[str], ratings: Sequence[float] | None) -> list[str]:
    """`3. Heat (1995): 4.5` for each film; `3. Heat (1995)` where there are no ratings."""
    return number_lines(film_texts(titles, ratings))


def number_lines(films: Sequence[str]) -> list[str]:
    return [f"{number}. {film}" for number, film in enumerate(films, 1)]


def film_texts(titles: Sequence[str], ratings: Sequence[float] | None) -> list[str]:
    if ratings is None:
        return [film_text(title, None) for title in titles]
    return [film_text(title, rating) for title, rating in zip(titles, ratings, strict=True)]


def film_text(title: str, rating: float | None) -> str:
    """`Heat (1995): 4.5`; the title alone where there is no rating."""
    return one_line(title) if rating is None else f"{one_line(title)}: {rating:g}"


def without_lone_surrogates(text: str) -> str:
    """`\\ud83c` alone, which JSON can hold and UTF-8 cannot, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


YES, NO = "Yes", "No"
END_OF_TURN = "<|im_end|>"
# Stands for the user's text while the template's fixed parts are rendered once; no template and no title holds it.
_MARK = "\ue000user text\ue000"
_LINES = re.compile(r"[^\n]+\n?")
# Openings remembered at most: records that each bring their own conversation must not fill the memory.
_MOST_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class PromptPieces:
    """A prompt cut where it may be shortened: `before` + `history` + `after`, joined its exact text.

    `history` is the lines of the history end to end; the last one ends in a newline unless it ends the user's text.
    """

    before: str
    history: str
    after: str

    def lines(self) -> list[str]:
        """The history line by line, newlines kept."""
        return _LINES.findall(self.history)

    def without(self, oldest: int) -> PromptPieces:
        """The prompt without its `oldest` first history lines."""
        return PromptPieces(self.before, "".join(self.lines()[oldest:]), self.after)

    def text(self) -> str:
        return self.before + self.history + self.after


class PromptTemplate:
    """A tokenizer's chat template around a record.

    `tokenizer` is a Hugging Face tokenizer. `system` replaces every record's own system text where it is given.
    Raises ModelError where the tokenizer has no chat template, alters the user's text, or lacks `<|im_end|>`, and
    where Yes or No is not one token right after the prompt.
    """

    def __init__(self, tokenizer: Any, system: str | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError("the tokenizer has no chat template", "use a Qwen3 chat model such as Qwen/Qwen3-0.6B")
        self._tokenizer = tokenizer
        self.system = system
        self._frame = lru_cache(_MOST_FRAMES)(self._render_frame)
        added = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, added))) if added else None
        self._control_starts = sorted({token[0] for token in added})
        self._head = lru_cache(maxsize=1024)(self._clean_head)  # the same for most records
        self.yes_id, self.no_id, self.end_id = self._answer_ids()

    def pieces(self, record: Record) -> PromptPieces:
        """The record's prompt, cut around its history."""
        from movielora.examples.records import find_history

        before, after = self._frame(record.system if self.system is None else self.system, record.turns)
        head, asked = self._user_text(record)
        # Numbered lines of the instruction are no history: only the input is searched.
        start, end = find_history(asked)
        return PromptPieces(before + head + asked[:start], asked[start:end], asked[end:] + after)

    def conversation(self, record: Record) -> str:
        """The whole conversation, answer included, as the template renders it for training: the reference that
        prompt + answer is held against."""
        system = record.system if self.system is None else self.system
        messages = [
            *self._opening(system, record.turns),
            {"role": "user", "content": "".join(self._user_text(record))},
            {"role": "assistant", "content": YES if record.label else NO},
        ]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, enable_thinking=False))

    def _user_text(self, record: Record) -> tuple[str, str]:
        """The instruction with its line's end, and the input, both clean; without whitespace around the two."""
        head = self._head(record.instruction)
        if not head:
            return "", self.clean(record.input.strip())
        asked = self.clean(record.input.rstrip())
        return (head, asked) if asked else (head.rstrip(), "")

    def _clean_head(self, instruction: str) -> str:
        return self.clean(instruction.lstrip()) + "\n" if instruction.strip() else ""

    def clean(self, text: str) -> str:
        """Text from data, made harmless: NFC, no lone surrogates, and no control token of this tokenizer.

        A control token written in a title (`<|im_end|>`) gets a space after its first character, so the model reads
        it as the text it is.
        """
        cleaned = text if text.isascii() else unicodedata.normalize("NFC", without_lone_surrogates(text))
        # Looking for the characters they start with costs a tenth of looking for them all.
        if self._control is not None and any(start in cleaned for start in self._control_starts):
            cleaned = self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", cleaned)
        return cleaned

    def _render_frame(self, system: str, turns: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        """The template's text before and after the user's; rendered once for each system text and opening."""
        messages = [*self._opening(system, turns), {"role": "user", "content": _MARK}]
        rendered = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        parts = rendered.split(_MARK)
        if len(parts) != 2:
            raise ModelError("the chat template alters the user's text", "use a Qwen3 chat model")
        return parts[0], parts[1]

    def _opening(self, system: str, turns: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        messages = [{"role": "system", "content": self.clean(system.strip())}] if system.strip() else []
        for question, answer in turns:
            messages.append({"role": "user", "content": self.clean(question.strip())})
            messages.append({"role": "assistant", "content": self.clean(answer.strip())})
        return messages

    def _answer_ids(self) -> tuple[int, int, int]:
        """Token ids of Yes, No and the end of the turn, checked right after the prompt's last piece."""
        ending = self._frame(SYSTEM, ())[1]
        prompt = self._encode(ending)
        ids: list[int] = []
        for word in (YES, NO):
            with_answer = self._encode(ending + word + END_OF_TURN)
            if len(with_answer) != len(prompt) + 2 or with_answer[: len(prompt)] != prompt:
                raise ModelError(
                    f"this tokenizer does not read `{word}{END_OF_TURN}` after the prompt as one token each",
                    "use a Qwen3 chat model such as Qwen/Qwen3-0.6B",
                )
            ids.append(with_answer[-2])
        if ids[0] == ids[1]:
            raise ModelError(
                f"this tokenizer reads `{YES}` and `{NO}` as the same token {ids[0]}",
                "use a Qwen3 chat model such as Qwen/Qwen3-0.6B",
            )
        return ids[0], ids[1], self._encode(END_OF_TURN)[0]

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
