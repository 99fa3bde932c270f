"""In which words rows are asked: what of a prompt is the same for many of them, and whether other rows fit it.

Rows may bring a system text, an instruction and a wording of their own. What a run's training rows were asked in is
recorded with the run, so that nobody judges it on rows in other words without knowing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet
from movielora.examples.importers.rendered_text import known_films
from movielora.examples.timeline_examples import TimelineExamples
from movielora.prompt.render import chosen_text, film_text, number_lines
from movielora.prompt.spec import PromptSpec, Wording
from movielora.storage import fields

# More different texts than this are free text: any other is then one more of them.
_MOST = 16
_LONGEST = 4_000
_FILM = "{film}"
_CANDIDATE = re.compile(r"^(Candidate film: ).*$", re.MULTILINE)

RATED, BARE = "title and stars", "titles only"
NUMBERED_TWICE = "titles with a number of their own, numbered again"
OWN_LINES = "lines as the rows write them"
OWN_WORDS = "text of the rows' own, which no films can be read from"

ASPECTS = {"system": "system text", "instruction": "instruction", "wording": "wording", "lines": "film lines"}


@dataclass(frozen=True)
class RowWords:
    """How one row is asked: its texts, the words around films and candidate, and how a film's line is written.

    `lines` is None for a row without films, which fits any.
    """

    system: str
    instruction: str
    wording: str
    lines: str | None


@dataclass(frozen=True)
class AskedWords:
    """The different words of many rows, by aspect (`ASPECTS`); None: so many that any other is one more of them."""

    texts: Mapping[str, tuple[str, ...] | None]

    @classmethod
    def of(cls, examples: ExampleSet, spec: PromptSpec) -> AskedWords:
        """The words that `examples` are asked in by `spec`."""
        found: dict[str, dict[str, None]] = {aspect: {} for aspect in ASPECTS}
        for words in distinct_words(examples, spec):
            for aspect, known in found.items():
                text = getattr(words, aspect)
                if text is not None and len(known) <= _MOST:
                    known[text] = None
        return cls({aspect: tuple(known) if len(known) <= _MOST else None for aspect, known in found.items()})

    @classmethod
    def from_json(cls, raw: Any) -> AskedWords | None:
        """From run.json; None if it does not say."""
        values = fields.mapping(raw)
        if not values.keys() >= ASPECTS.keys():
            return None
        return cls({aspect: None if values[aspect] is None else _texts(values[aspect]) for aspect in ASPECTS})

    def to_json(self) -> dict[str, Any]:
        """For run.json, which is read often: long texts by their hashes."""
        return {aspect: None if texts is None else [*map(_kept, texts)] for aspect, texts in self.texts.items()}

    def joined(self, other: AskedWords | None) -> AskedWords:
        """The words of both."""
        if other is None:
            return self
        both: dict[str, tuple[str, ...] | None] = {}
        for aspect, texts in self.texts.items():
            more = other.texts[aspect]
            new = None if texts is None or more is None else [t for t in more if _kept(t) not in map(_kept, texts)]
            both[aspect] = None if texts is None or new is None else (*texts, *new)
        return AskedWords(both)

    def other_aspects(self, words: RowWords) -> list[str]:
        """The aspects in which a row is asked in words that are not among these."""
        return [aspect for aspect in ASPECTS if not self._knows(aspect, getattr(words, aspect))]

    def _knows(self, aspect: str, text: str | None) -> bool:
        known = self.texts[aspect]
        return text is None or not known or _kept(text) in map(_kept, known)


def distinct_words(examples: ExampleSet, spec: PromptSpec) -> Iterable[RowWords]:
    """The words of each of `examples`; of a prepared dataset, whose rows are all asked alike, only once."""
    if isinstance(examples, TimelineExamples):
        return [row_words(examples[0], spec)] if len(examples) else []
    return (row_words(example, spec) for example in examples)


def row_words(example: Example, spec: PromptSpec) -> RowWords:
    """How `example` is asked by `spec`."""
    films, candidate = known_films(example)
    lines = [film_text(film.title, film.rating) for film in films]
    if example.text is None:
        rated = all(film.rating is not None for film in films)
        kind = NUMBERED_TWICE if _are_numbered([film.title for film in films]) else RATED if rated else BARE
        return RowWords(
            chosen_text("system", example.system, spec),
            chosen_text("instruction", example.instruction, spec),
            _around(f"{spec.wording.history_head}\n", f"{spec.wording.candidate_head}{_FILM}\n{spec.wording.question}"),
            kind if films else None,
        )
    text = example.text
    if candidate is None:
        last = text.after.rpartition("\n")[2]  # the question, as a rule; the candidate is before it
        around, kind = _around(text.before, f"…\n{last}"), OWN_WORDS
    else:
        around = _around(text.before, _CANDIDATE.sub(rf"\g<1>{_FILM}", text.after, count=1))
        written = "".join(f"{line}\n" for line in number_lines(lines))
        rated = bool(films) and all(film.rating is not None for film in films)
        kind = OWN_LINES if text.history != written else RATED if rated else BARE
    return RowWords(
        chosen_text("system", text.system, spec),
        chosen_text("instruction", text.instruction, spec),
        around,
        kind if films or candidate is None else None,
    )


def with_common_texts(spec: PromptSpec, words: AskedWords) -> PromptSpec:
    """The spec that renders a row without texts of its own as the rows of `words` were asked, as far as that is one
    text: the system text, the instruction and the wording that all of them brought."""
    system, instruction, wording, lines = (words.texts[aspect] for aspect in ASPECTS)
    if system is not None and len(system) == 1:
        spec = replace(spec, system=system[0])
    if instruction is not None and len(instruction) == 1:
        spec = replace(spec, instruction=instruction[0])
    if wording is not None and len(wording) == 1 and lines and OWN_LINES not in lines:
        spec = replace(spec, wording=_wording(wording[0]) or spec.wording)
    return spec


def _wording(around: str) -> Wording | None:
    """The wording that `_around` wrote down; None if no wording renders it."""
    head, _, after = around.partition("\n")
    candidate, separator, question = after.partition(f"{_FILM}\n")
    if not separator or "\n" in candidate:
        return None
    try:
        return Wording(head, candidate, question)
    except ValueError:
        return None


def _around(before: str, after: str) -> str:
    return before + after


def _are_numbered(titles: list[str]) -> bool:
    """Whether every title begins with its own number: lines of another program, not titles."""
    return bool(titles) and all(title.startswith(f"{number}. ") for number, title in enumerate(titles, 1))


def _kept(text: str) -> str:
    """The text itself, or its hash if it is long."""
    return text if len(text) < _LONGEST else f"SHA-256 {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(fields.texts(value))
