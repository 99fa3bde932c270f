"""Score rows chunk by chunk into a file, one line a row: what `compare` can continue after an interruption.

Rows are scored in chunks of the file's order, and inside a chunk in batches of similar length. The same file and sizes
give the same batches, so every column is computed with identical arithmetic, and an interrupted comparison continues
with the batches it would have had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from movielora.errors import OutputError
from movielora.examples.example import Example
from movielora.examples.example_set import ExampleSet
from movielora.examples.importers.rendered_text import known_films
from movielora.progress import Phase, Reporter
from movielora.prompt.template import NO, YES
from movielora.scoring.answer_position import AnswerScores
from movielora.scoring.controls import drop_history, shuffle_history
from movielora.scoring.generated_text import extract_answer
from movielora.scoring.log_odds import Ints, probability
from movielora.scoring.scorer import Scorer

Mode = Literal["score", "generate"]


@dataclass(frozen=True)
class Condition:
    """The condition that a column is scored under: the adapter on or off, the example as it is or perturbed.

    `perturbation` makes another example of an example and its row.
    """

    adapter_on: bool
    perturbation: Callable[[Example, int], Example] | None = None


ADAPTER_OFF, ADAPTER_ON = Condition(adapter_on=False), Condition(adapter_on=True)
CONTROLS = {
    "history_shuffled": Condition(adapter_on=True, perturbation=shuffle_history),
    "candidate_alone": Condition(adapter_on=True, perturbation=drop_history),
}


@dataclass(frozen=True)
class PredictResult:
    """`rows` in the file now; `rows_before` were there already; `rows_cut` (of the new ones) lost history."""

    rows: int
    rows_before: int
    rows_cut: int


def predict(
    scorer: Scorer,
    examples: ExampleSet,
    output: Path,
    columns: Mapping[str, Condition],
    *,
    mode: Mode,
    chunk_size: int,
    reporter: Reporter,
    numbers: Ints | None = None,
) -> PredictResult:
    """Score every example once for each of `columns`, by name, and append a line each to `output`.

    `numbers` (examples,) are their rows in the test file, for a sample of it; from 0 by default.
    Continues behind the whole chunks that `output` holds already. Raises DataError for an example that cannot be asked,
    OutputError if `output` cannot be written.
    """
    total = len(examples)
    numbers = np.arange(total, dtype=np.int64) if numbers is None else numbers
    done = total if is_complete(output, total) else _keep_whole_chunks(output, chunk_size)
    rows_cut = 0
    row = done
    with reporter.phase(f"Scoring {output.stem}", total, "rows") as phase:
        phase.update(done)
        while row < total:
            chunk = [examples[place] for place in range(row, min(row + chunk_size, total))]
            chunk_rows = numbers[row : row + chunk_size].tolist()
            lines, cut = _score_chunk(scorer, chunk, chunk_rows, mode, columns, phase)
            rows_cut += cut
            _append(output, lines)
            row += len(chunk)
    return PredictResult(row, done, rows_cut)


def _score_chunk(
    scorer: Scorer,
    chunk: Sequence[Example],
    rows: Sequence[int],
    mode: Mode,
    columns: Mapping[str, Condition],
    phase: Phase,
) -> tuple[list[str], int]:
    """The chunk's lines, and how many of its rows lost history to the cutoff."""
    steps = _PartSteps(phase, len(columns))
    plain = scorer.tokenize(chunk)
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, condition in columns.items():
        examples = plain
        if condition.perturbation is not None:
            perturbed = [condition.perturbation(example, row) for row, example in zip(rows, chunk, strict=True)]
            examples = scorer.tokenize(perturbed)
        scores, _ = scorer.score_tokens(examples, adapter=condition.adapter_on, on_batch=steps.advance)
        texts = scorer.generate(examples, adapter=condition.adapter_on) if mode == "generate" else None
        answers[name] = [_answer(scores, index, texts) for index in range(len(chunk))]
    lines = [
        json.dumps(
            {
                "row": rows[index],
                "label": YES if example.label else NO,
                **{name: answers[name][index] for name in columns},
                **described(example),
            },
            ensure_ascii=False,
        )
        for index, example in enumerate(chunk)
    ]
    return lines, plain.rows_cut


def _answer(scores: AnswerScores, index: int, texts: Sequence[str] | None) -> dict[str, Any]:
    log_odds = float(scores.log_odds[index])
    answer: dict[str, Any] = {
        "log_odds": log_odds,
        "p_yes": float(probability(scores.log_odds[index : index + 1])[0]),
        "answer_mass": float(scores.answer_mass[index]),
        "prediction": YES if log_odds > 0 else NO,
    }
    if texts is not None:
        generated = extract_answer(texts[index])
        answer |= {"text": texts[index], "prediction": None if generated is None else YES if generated else NO}
    return answer


def described(example: Example) -> dict[str, Any]:
    """What a line holds of its example: ids and time, its films, and its texts if it is text.

    A text that no films can be read from has no `candidate_title` and no `history_titles`.
    """
    known: dict[str, Any] = {"user_id": example.user, "movie_id": example.item, "timestamp": example.time}
    if example.text is not None:
        known |= {"instruction": example.text.instruction, "input": example.text.input}
    films, candidate = known_films(example)
    if candidate is not None:
        ratings = [film.rating for film in films]
        known |= {
            "candidate_title": candidate,
            "history_titles": [film.title for film in films],
            "history_ratings": None if None in ratings else ratings,
        }
    return {name: value for name, value in known.items() if value is not None}


def is_complete(output: Path, total: int) -> bool:
    """Whether `output` holds `total` whole lines already. Raises OutputError if it cannot be read."""
    content = _content(output)
    return content.endswith(b"\n") and content.count(b"\n") == total


def rows_in(output: Path) -> int:
    """How many whole lines `output` holds; 0 if there is no such file. Raises OutputError if it cannot be read."""
    return _content(output).count(b"\n")


def _content(output: Path) -> bytes:
    try:
        return output.read_bytes() if output.exists() else b""
    except OSError as error:
        raise OutputError(f"{output} cannot be read: {error.strerror}", "choose another --output-dir") from None


def _keep_whole_chunks(output: Path, chunk_size: int) -> int:
    """Cut an interrupted file back to its last whole chunk; returns the rows that stay."""
    if not output.exists():
        return 0
    try:
        content = output.read_bytes()
        lines = content.split(b"\n")[:-1]  # what follows the last newline is torn
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
            f"{output} cannot be written: {error.strerror}", "free space, then run the same command: it continues"
        ) from None


class _PartSteps:
    """Progress in rows, when each of `parts` columns does its part of a row."""

    def __init__(self, phase: Phase, parts: int) -> None:
        self._phase, self._parts, self._done = phase, parts, 0

    def advance(self, rows: int) -> None:
        before = self._done // self._parts
        self._done += rows
        self._phase.advance(self._done // self._parts - before)
