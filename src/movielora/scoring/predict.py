"""Base and adapter on the same rows: one model in memory, the adapter switched off and on, rows streamed to a file.

Rows are scored in chunks of the file's order, and inside a chunk in batches of like length. The same file and sizes
give the same batches, so base and adapter meet identical arithmetic, and a comparison that was interrupted goes on
with the batches it would have had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from movielora.errors import OutputError
from movielora.examples.example import Record
from movielora.progress import SILENT, Phase, Reporter
from movielora.prompt.template import NO, YES, PromptTemplate
from movielora.prompt.text_tokens import tokenize_records
from movielora.prompt.token_sets import TokenizedExamples
from movielora.scoring.answer_position import AnswerScores, score
from movielora.scoring.controls import drop_history, shuffle_history
from movielora.scoring.generated_text import extract_answer
from movielora.scoring.log_odds import probability

Mode = Literal["score", "generate"]

# `Yes<|im_end|>` is two tokens; a model that says more than this is not answering.
_NEW_TOKENS = 8
_RECORD_FIELDS = (
    "user_id",
    "movie_id",
    "timestamp",
    "candidate_title",
    "history_titles",
    "history_ratings",
)


@dataclass(frozen=True)
class Pair:
    """A base with an adapter on it (`model`, PEFT), its tokenizer and prompt template."""

    model: Any
    tokenizer: Any
    template: PromptTemplate
    cutoff_len: int
    batch_size: int


@dataclass(frozen=True)
class Column:
    """One model of predictions.jsonl: the adapter on or off, and how it is asked (the record itself by default)."""

    adapter_on: bool
    ask: Callable[[Record, int], Record] | None = None


COLUMNS = {
    "base": Column(adapter_on=False),
    "adapter": Column(adapter_on=True),
    "history_shuffled": Column(adapter_on=True, ask=shuffle_history),
    "candidate_alone": Column(adapter_on=True, ask=drop_history),
}


@dataclass(frozen=True)
class PredictResult:
    """`rows` in the file now; `rows_before` were there already; `rows_cut` (of the new ones) lost history."""

    rows: int
    rows_before: int
    rows_cut: int


def predict(
    pair: Pair,
    records: Iterable[Record],
    output: Path,
    *,
    mode: Mode,
    chunk_size: int,
    total: int,
    reporter: Reporter,
    columns: Sequence[str] = ("base", "adapter"),
) -> PredictResult:
    """Score every record by each of `columns` (of `COLUMNS`) and append a line each to `output`, going on where it
    stands.

    Raises DataError for a record that cannot be asked, OutputError where `output` cannot be written.
    """
    done = total if is_complete(output, total) else _keep_whole_chunks(output, chunk_size)
    rows_cut = 0
    row = done
    with reporter.phase(f"Scoring {output.stem}", total, "rows") as phase:
        phase.update(done)
        stream = islice(iter(records), done, None)
        while chunk := list(islice(stream, chunk_size)):
            lines, cut = _score_chunk(pair, chunk, row, mode, columns, phase)
            rows_cut += cut
            _append(output, lines)
            row += len(chunk)
    return PredictResult(row, done, rows_cut)


def _score_chunk(
    pair: Pair, chunk: Sequence[Record], first_row: int, mode: Mode, columns: Sequence[str], phase: Phase
) -> tuple[list[str], int]:
    """The chunk's lines, and how many of its rows lost history to the cutoff."""
    rows = np.arange(len(chunk), dtype=np.int64)
    steps = _PartSteps(phase, len(columns))
    plain = _tokenize(pair, chunk)
    answers: dict[str, list[dict[str, Any]]] = {}
    for name in columns:
        column = COLUMNS[name]
        examples = plain
        if column.ask is not None:
            examples = _tokenize(pair, [column.ask(record, first_row + place) for place, record in enumerate(chunk)])
        with nullcontext() if column.adapter_on else base_alone(pair.model):
            scores, _ = score(pair.model, examples, rows, batch_size=pair.batch_size, on_batch=steps.advance)
            texts = _generate(pair, examples) if mode == "generate" else None
        answers[name] = [_answer(scores, index, texts) for index in range(len(chunk))]
    lines = [
        json.dumps(
            {
                "row": first_row + index,
                "label": YES if record.label else NO,
                **{name: answers[name][index] for name in columns},
                **described(record),
            },
            ensure_ascii=False,
        )
        for index, record in enumerate(chunk)
    ]
    return lines, plain.rows_cut


def _tokenize(pair: Pair, records: Sequence[Record]) -> TokenizedExamples:
    return tokenize_records(
        records, pair.template, pair.tokenizer, cutoff_len=pair.cutoff_len, reporter=SILENT, name="rows"
    )


@contextmanager
def base_alone(model: Any) -> Iterator[None]:
    """The same weights without the adapter."""
    with model.disable_adapter():
        yield


def _answer(scores: AnswerScores, index: int, texts: Sequence[str] | None) -> dict[str, Any]:
    log_odds = float(scores.log_odds[index])
    answer: dict[str, Any] = {
        "log_odds": log_odds,
        "p_yes": float(probability(scores.log_odds[index : index + 1])[0]),
        "answer_mass": float(scores.answer_mass[index]),
        "prediction": YES if log_odds > 0 else NO,
    }
    if texts is not None:
        said = extract_answer(texts[index])
        answer |= {"text": texts[index], "prediction": None if said is None else YES if said else NO}
    return answer


def described(record: Record) -> dict[str, Any]:
    """What the record had: a test-form row by its films, a training-form row by its texts."""
    known = {name: getattr(record, name) for name in _RECORD_FIELDS}
    if record.history_titles is None:
        known |= {"instruction": record.instruction, "input": record.input}
    return {name: value for name, value in known.items() if value is not None}


def _generate(pair: Pair, examples: TokenizedExamples) -> list[str]:
    """Greedy text of each row, without the prompt; for parity with the scores, not for speed."""
    import torch
    from transformers import GenerationConfig

    device = next(pair.model.parameters()).device
    greedy = GenerationConfig(
        max_new_tokens=_NEW_TOKENS,
        do_sample=False,
        eos_token_id=pair.template.end_id,
        pad_token_id=pair.template.end_id,
    )
    texts: list[str] = []
    with torch.inference_mode():
        for row in range(len(examples)):
            ids = torch.from_numpy(examples.prompt(row).astype(np.int64)).unsqueeze(0).to(device)
            out = pair.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy)
            texts.append(pair.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=False))
    return [text.removesuffix("<|im_end|>") for text in texts]


def is_complete(output: Path, total: int) -> bool:
    """Whether `output` holds `total` whole lines already. Raises OutputError where it cannot be read."""
    if not output.exists():
        return False
    try:
        content = output.read_bytes()
    except OSError as error:
        raise OutputError(f"{output} cannot be read: {error.strerror}", "choose another --output-dir") from None
    return content.endswith(b"\n") and content.count(b"\n") == total


def _keep_whole_chunks(output: Path, chunk_size: int) -> int:
    """Cut an interrupted file back to its last whole chunk; returns the rows that stay."""
    if not output.exists():
        return 0
    try:
        content = output.read_bytes()
        lines = content.split(b"\n")[:-1]  # what stands behind the last newline is torn
        rows = len(lines) - len(lines) % chunk_size
        kept = b"".join(line + b"\n" for line in lines[:rows])
        if len(kept) < len(content):
            with output.open("r+b") as file:
                file.truncate(len(kept))
    except OSError as error:
        raise OutputError(f"{output} cannot be continued: {error.strerror}", "choose another --output-dir") from None
    return rows


def _append(output: Path, lines: Sequence[str]) -> None:
    try:
        with output.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror}", "free space, then run the same command: it goes on"
        ) from None


class _PartSteps:
    """Each of `parts` models does its part of a row."""

    def __init__(self, phase: Phase, parts: int) -> None:
        self._phase, self._parts, self._done = phase, parts, 0

    def advance(self, rows: int) -> None:
        before = self._done // self._parts
        self._done += rows
        self._phase.advance(self._done // self._parts - before)
