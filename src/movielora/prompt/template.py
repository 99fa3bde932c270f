"""The chat template around a rendered example: the only place that calls it.

The prompt is the chat template with the generation prompt and `enable_thinking=False` (for Qwen3: up to and including
the empty thinking block); the answer is `Yes<|im_end|>` or `No<|im_end|>`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from movielora.errors import ModelError
from movielora.examples.example import Example
from movielora.examples.importers.fields import without_lone_surrogates
from movielora.prompt.render import RenderedText, render
from movielora.prompt.spec import SYSTEM, PromptSpec

YES, NO = "Yes", "No"
END_OF_TURN = "<|im_end|>"
# Stands for the user's text while the template's fixed parts are rendered once; no template and no title holds it.
_MARK = "\ue000user text\ue000"
_LINES = re.compile(r"[^\n]+\n?")
# Openings remembered at most: records that each bring their own conversation must not fill the memory.
_MOST_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class PromptPieces:
    """A prompt, cut at the places where it may be shortened: `before` + `history` + `after`, joined its exact text.

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
    """A tokenizer's chat template around examples rendered by a prompt spec.

    `tokenizer` is a Hugging Face tokenizer. Raises ModelError if the tokenizer has no chat template, alters the user's
    text, or lacks `<|im_end|>`, and if Yes or No is not one token right after the prompt.
    """

    def __init__(self, tokenizer: Any, spec: PromptSpec | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError("the tokenizer has no chat template", "use a Qwen3 chat model such as Qwen/Qwen3-0.6B")
        self._tokenizer = tokenizer
        self.spec = spec or PromptSpec()
        self._frame = lru_cache(_MOST_FRAMES)(self._render_frame)
        added = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, added))) if added else None
        self._control_starts = sorted({token[0] for token in added})
        self._head = lru_cache(maxsize=1024)(self._clean_head)  # the same for most records
        self.yes_id, self.no_id, self.end_id = self._answer_ids()

    @property
    def answer_ids(self) -> tuple[int, int, int]:
        """Token ids of Yes, No and the end of the turn."""
        return self.yes_id, self.no_id, self.end_id

    def pieces(self, example: Example) -> PromptPieces:
        """The example's prompt, cut around its history. Raises DataError as `render` does."""
        return self.rendered_pieces(render(example, self.spec))

    def unlimited_pieces(self, example: Example) -> PromptPieces:
        """The example's prompt with every film that it brings, whatever the spec's `history_len`."""
        return self.rendered_pieces(render(example, replace(self.spec, history_len=None)))

    def rendered_pieces(self, text: RenderedText) -> PromptPieces:
        """The prompt of a text that is rendered already, cut around its history."""
        before, after = self._frame(text.system, text.turns)
        head, *parts = self._user_text(text)
        return PromptPieces(before + head + parts[0], parts[1], parts[2] + after)

    def conversation(self, example: Example) -> str:
        """The whole conversation, answer included, as the template renders it for training: the reference that
        prompt + answer is compared with."""
        text = render(example, self.spec)
        messages = [
            *self._opening(text.system, text.turns),
            {"role": "user", "content": "".join(self._user_text(text))},
            {"role": "assistant", "content": YES if example.label else NO},
        ]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, enable_thinking=False))

    def _user_text(self, text: RenderedText) -> tuple[str, str, str, str]:
        """The instruction with its line's end, and the three parts of the input, all clean."""
        head = self._head(text.instruction)
        before, history, after = self.clean(text.before), self.clean(text.history), self.clean(text.after)
        if not (before or history or after):
            head = head.rstrip()
        return head, before, history, after

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
