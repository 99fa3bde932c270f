"""Refuse rows that cannot be asked as an adapter's training rows were: their scores would be of another prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from movielora.errors import DataError
from movielora.evaluation.judged.run_training import RunTraining
from movielora.examples.example_set import ExampleSet
from movielora.examples.timeline_examples import TimelineExamples
from movielora.prompt.asked_words import ASPECTS, row_words
from movielora.prompt.spec import PromptSpec

_SHOWN = 60


@dataclass(frozen=True)
class OtherWords:
    """Of the `rows` judged, `other` are asked in words that the run was not trained with: in `aspects` the first of
    them, which is at `place`, differs; `asked` and `trained` are what it has and what training had."""

    run: str
    rows: int
    other: int
    place: str
    aspect: str
    asked: str
    trained: str

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        return (
            f"{self.other:,} of the {self.rows:,} rows are asked in words that {self.run} was not trained with: "
            f"{self.place} has the {self.aspect} “{self.asked}”, training had “{self.trained}”"
        )


def find_other_words(
    examples: ExampleSet, spec: PromptSpec, training: RunTraining, *, system_given: bool
) -> OtherWords | None:
    """The rows that `spec` asks in other words than the training's; None if there are none, or those are not known.

    `system_given`: the user replaces the system text, which is no mistake then.
    """
    if training.words is None:
        return None
    first, count = None, 0
    alike = isinstance(examples, TimelineExamples)
    for example in [examples[0]] if alike else examples:
        words = row_words(example, spec)
        aspects = [a for a in training.words.other_aspects(words) if not (a == "system" and system_given)]
        if not aspects:
            continue
        count += 1
        if first is None:
            texts = training.words.texts[aspects[0]] or ()
            first = (example.place, ASPECTS[aspects[0]], *_from_difference(getattr(words, aspects[0]), texts[0]))
    if first is None:
        return None
    return OtherWords(str(training.adapter), len(examples), len(examples) if alike else count, *first)


def refuse_other_words(found: OtherWords | None) -> None:
    """Raise DataError naming the first row."""
    if found is not None:
        raise DataError(
            found.sentence(),
            "give rows in the training's form with --test-file FILE, or insist with --as-they-are: the result then "
            "says so",
        )


def _from_difference(asked: str, trained: str) -> tuple[str, str]:
    """Both on one line, from a little before the place where they differ."""
    one, two = (" ".join(text.split()) for text in (asked, trained))
    same = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 0)
    start = 0 if same < _SHOWN // 2 else same - _SHOWN // 4
    return _short(one, start), _short(two, start)


def _short(text: str, start: int) -> str:
    shown = f"…{text[start:]}" if start else text
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
