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
from movielora.dataset.find import find_eval_file, find_test_file, find_train_file
from movielora.errors import ConfigError, DataError
from movielora.examples.records import Record, read_records
from movielora.machine.process_settings import settings_undone
from movielora.progress import SILENT, Reporter
from movielora.prompt.lengths import CutoffAdvice, LengthSummary, advise_cutoff, summarise_lengths
from movielora.prompt.template import PromptTemplate

SplitName = Literal["train", "eval", "test"]
_NO_CUTOFF = 1 << 30


@dataclass(frozen=True)
class AuditRequest:
    resolved: ResolvedConfig
    split: SplitName = "train"
    max_samples: int | None = None
    char_only: bool = False
    cutoff_len: int | None = None
    percentiles: Sequence[float] = (50, 90, 95, 99, 100)
    show_examples: int = 0


@dataclass(frozen=True)
class WalkedExample:
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
    """`advice` is None where characters were counted: a cutoff is in tokens."""

    path: Path
    unit: Literal["tokens", "characters"]
    lengths: LengthSummary
    advice: CutoffAdvice | None
    examples: list[WalkedExample] = field(default_factory=list)
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
            "seconds": self.seconds,
            **({"examples": [vars(example) for example in self.examples]} if self.examples else {}),
        }


@settings_undone()
def audit(request: AuditRequest, reporter: Reporter) -> Audit:
    """Measure the split. Raises DataError where it is missing or empty, ConfigError for a senseless percentile."""
    started = time.monotonic()
    wrong = [value for value in request.percentiles if not 0 <= value <= 100]
    if wrong or not request.percentiles:
        raise ConfigError(f"--percentiles {wrong[0] if wrong else ''}: give numbers from 0 to 100, such as 50,95")
    path = _split_file(request)
    with reporter.phase(f"Reading {path.name}", unit="examples") as phase:
        records = _sample(list(read_records(path)), request)
        phase.advance(len(records))
    if request.char_only:
        if request.show_examples or request.cutoff_len:
            reporter.warn("--show-examples and --cutoff-len need the tokenizer, which --char-only leaves out")
        summary = summarise_lengths(np.array([_characters(record) for record in records]), request.percentiles)
        return Audit(path, "characters", summary, None, [], time.monotonic() - started)
    lengths, examples = _measure_tokens(request, records, reporter)
    cutoff = request.cutoff_len or request.resolved.values.cutoff_len
    return Audit(
        path,
        "tokens",
        summarise_lengths(lengths, request.percentiles),
        advise_cutoff(lengths, cutoff),
        examples,
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


def _sample(records: list[Record], request: AuditRequest) -> list[Record]:
    """A seeded sample over the whole file: its first records would be those of the first users."""
    most = request.max_samples
    if most is None or most >= len(records):
        return records
    random = np.random.default_rng(request.resolved.values.seed)
    return [records[row] for row in np.sort(random.choice(len(records), most, replace=False))]


def _characters(record: Record) -> int:
    """The texts of the record; the template around them is the tokenizer's."""
    turns = sum(len(question) + len(answer) for question, answer in record.turns)
    return len(record.system) + turns + len(record.instruction) + len(record.input)


def _measure_tokens(
    request: AuditRequest, records: list[Record], reporter: Reporter
) -> tuple[NDArray[np.int64], list[WalkedExample]]:
    from movielora.model.base import find_base
    from movielora.model.tokenizer import load_tokenizer
    from movielora.prompt.tokens import ANSWER_TOKENS, tokenize_records

    config = request.resolved.values
    with reporter.phase("Loading tokenizer"):
        cache_dir = Path(config.preprocessing_cache_dir).parent
        located = request.resolved.locate(config.model_name_or_path)
        tokenizer = load_tokenizer(find_base(config.model_name_or_path, cache_dir, located))
        template = PromptTemplate(tokenizer)
    tokens = tokenize_records(
        records, template, tokenizer, cutoff_len=_NO_CUTOFF, reporter=reporter, name=request.split
    )
    cutoff = request.cutoff_len or config.cutoff_len
    walked = [_walk(record, template, tokenizer, cutoff) for record in records[: request.show_examples]]
    return tokens.lengths + ANSWER_TOKENS, walked


def _walk(record: Record, template: PromptTemplate, tokenizer: Any, cutoff: int) -> WalkedExample:
    from movielora.prompt.tokens import tokenize_records

    pieces = template.pieces(record)
    cut = tokenize_records([record], template, tokenizer, cutoff_len=cutoff, reporter=SILENT)
    ids, dropped = cut.prompt(0).tolist(), int(cut.dropped_lines[0])
    answer = (template.yes_id if record.label else template.no_id, template.end_id)
    return WalkedExample(
        place=record.place,
        instruction=record.instruction,
        input=record.input,
        prompt=pieces.without(dropped).text(),
        answer=tokenizer.decode(answer),
        token_ids=[*ids, *answer],
        answer_position=len(ids) - 1,
        dropped=[line.strip() for line in pieces.lines()[:dropped]],
    )
