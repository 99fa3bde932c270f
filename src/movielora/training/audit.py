"""The recipe of `movielora audit`: how long the examples are, with training's own prompt and tokenizer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from movielora.config import ResolvedConfig
from movielora.dataset.find import find_columns, find_eval_file, find_test_file, find_train_file
from movielora.errors import ConfigError, DataError, RequestError
from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet, sample_rows
from movielora.examples.load import ExampleLoader
from movielora.examples.shown_candidates import warn_of_shown_candidates
from movielora.machine.process_settings import settings_undone
from movielora.progress import SILENT, Reporter
from movielora.prompt.lengths import CutoffAdvice, LengthSummary, advise_cutoff, count_characters, summarise_lengths
from movielora.prompt.render import render
from movielora.prompt.spec import PromptSpec
from movielora.prompt.template import PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import ANSWER_TOKENS
from movielora.prompt.tokenize import tokenize_examples

SplitName = Literal["train", "eval", "test"]
_NO_CUTOFF = 1 << 30


@dataclass(frozen=True)
class AuditRequest:
    """What the user asked for; None is no limit on the samples, and the config's cutoff.

    `percentiles` are from 0 to 100; `show_examples` is how many examples are traced step by step.
    """

    resolved: ResolvedConfig
    split: SplitName = "train"
    max_samples: int | None = None
    char_only: bool = False
    cutoff_len: int | None = None
    percentiles: Sequence[float] = (50, 90, 95, 99, 100)
    show_examples: int = 0


@dataclass(frozen=True)
class ExampleTrace:
    """One example step by step. `answer_position` counts from 0: its logits decide; `dropped` are the lines that the
    cutoff takes, oldest first."""

    place: str
    instruction: str
    input: str
    prompt: str
    answer: str
    token_ids: list[int]
    answer_position: int
    dropped: list[str]


@dataclass(frozen=True)
class Audit:
    """`name` is what the examples are called; `advice` is None if characters were counted: a cutoff is in tokens.
    `candidates_shown` counts the examples whose history shows the candidate itself."""

    name: str
    unit: Literal["tokens", "characters"]
    lengths: LengthSummary
    advice: CutoffAdvice | None
    candidates_shown: int
    examples: list[ExampleTrace] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        advice = self.advice
        return {
            "samples": self.lengths.samples,
            "unit": self.unit,
            "min": self.lengths.least,
            "mean": self.lengths.mean,
            "max": self.lengths.most,
            "percentiles": self.lengths.percentiles,
            "cutoff_len": advice.cutoff_len if advice else None,
            "over_cutoff": advice.over_cutoff if advice else None,
            "recommended_cutoff_len": advice.recommended if advice else None,
            "over_recommended": advice.over_recommended if advice else None,
            "cuts_nothing_cutoff_len": advice.cuts_nothing if advice else None,
            "saved_share": advice.saved_share if advice else None,
            "candidates_shown": self.candidates_shown,
            "seconds": self.seconds,
            **({"examples": [vars(example) for example in self.examples]} if self.examples else {}),
        }


@settings_undone()
def audit(request: AuditRequest, reporter: Reporter) -> Audit:
    """Measure the split. Raises DataError if it is missing or empty, ConfigError for a senseless percentile."""
    started = time.monotonic()
    wrong = [value for value in request.percentiles if not 0 <= value <= 100]
    if wrong or not request.percentiles:
        raise ConfigError(f"--percentiles {wrong[0] if wrong else ''}: give numbers from 0 to 100, such as 50,95")
    path = _split_file(request)
    loader = ExampleLoader(reporter=reporter, columns=find_columns(request.resolved))
    spec = _spec(request, loader, path)
    examples = _sample(loader.showing(spec.history_len).open(path), request)
    shown = warn_of_shown_candidates(examples, reporter)
    if request.char_only:
        if request.show_examples or request.cutoff_len:
            reporter.warn("--show-examples and --cutoff-len need the tokenizer, which --char-only leaves out")
        summary = summarise_lengths(count_characters(examples, spec), request.percentiles)
        return Audit(examples.name, "characters", summary, None, shown, [], time.monotonic() - started)
    lengths, traces = _measure_tokens(request, examples, spec, reporter)
    cutoff = request.cutoff_len or request.resolved.values.cutoff_len
    return Audit(
        examples.name,
        "tokens",
        summarise_lengths(lengths, request.percentiles),
        advise_cutoff(lengths, cutoff),
        shown,
        traces,
        time.monotonic() - started,
    )


def _split_file(request: AuditRequest) -> Path:
    if request.split == "test":
        return find_test_file(request.resolved)
    if request.split == "train":
        return find_train_file(request.resolved)
    path = find_eval_file(request.resolved)
    if path is None:
        raise DataError("the config has no evaluation file", "set eval_file, or eval_strategy: steps")
    return path


def _spec(request: AuditRequest, loader: ExampleLoader, path: Path) -> PromptSpec:
    """The prompt of the training: every split is asked in it."""
    config = request.resolved.values
    try:
        return PromptSpec.of_split(config, loader, find_train_file(request.resolved))
    except RequestError:  # an audit of test rows needs no training data
        return PromptSpec.of_split(config, loader, path)


def _sample(examples: ExampleSet, request: AuditRequest) -> ExampleSet:
    """A seeded sample over the whole split: its first examples would be those of the first users."""
    if request.max_samples is None:
        return examples
    return examples.select(sample_rows(len(examples), request.max_samples, request.resolved.values.seed))


def _measure_tokens(
    request: AuditRequest, examples: ExampleSet, spec: PromptSpec, reporter: Reporter
) -> tuple[NDArray[np.int64], list[ExampleTrace]]:
    from movielora.model.base import base_of_config
    from movielora.model.tokenizer import load_tokenizer

    config = request.resolved.values
    with reporter.phase("Loading tokenizer"):
        tokenizer = load_tokenizer(base_of_config(request.resolved))
        template = PromptTemplate(tokenizer, spec)
    tokens = tokenize_examples(examples, template, tokenizer, cutoff_len=_NO_CUTOFF, reporter=reporter)
    cutoff = request.cutoff_len or config.cutoff_len
    shown = range(min(request.show_examples, len(examples)))
    traces = [_trace(examples[row], template, tokenizer, cutoff) for row in shown]
    return tokens.lengths.astype(np.int64) + ANSWER_TOKENS, traces


def _trace(example: Example, template: PromptTemplate, tokenizer: Any, cutoff: int) -> ExampleTrace:
    """From the example's texts to the token ids that training reads."""
    text = render(example, template.spec)
    pieces = template.rendered_pieces(text)
    cut = tokenize_records([example], template, tokenizer, cutoff_len=cutoff, reporter=SILENT)
    ids, dropped = cut.prompt(0).tolist(), int(cut.dropped_lines[0])
    answer = (template.yes_id if example.label else template.no_id, template.end_id)
    return ExampleTrace(
        place=example.place,
        instruction=text.instruction,
        input=text.input,
        prompt=pieces.without(dropped).text(),
        answer=tokenizer.decode(answer),
        token_ids=[*ids, *answer],
        answer_position=len(ids) - 1,
        dropped=[line.strip() for line in pieces.lines()[:dropped]],
    )
