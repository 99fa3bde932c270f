"""Yes or No: one forward pass, read at the answer position. The only way movielora gets an answer from a model.

Training's loss, the evaluation in training and `compare` all come through `answer_logits`, so what training shows is
what the finished adapter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from movielora.data.tokens import TokenizedExamples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AnswerScores:
    """Two numbers a row: ln P(Yes) and ln P(No) under the full softmax at the answer position (rows,), float64."""

    log_p_yes: NDArray[np.float64]
    log_p_no: NDArray[np.float64]

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """logit(Yes) − logit(No): the softmax's normaliser cancels."""
        return self.log_p_yes - self.log_p_no

    @property
    def answer_mass(self) -> NDArray[np.float64]:
        """P(Yes) + P(No): how much the model is answering at all."""
        return np.exp(self.log_p_yes) + np.exp(self.log_p_no)


@dataclass(frozen=True)
class Batch:
    """`input_ids` (rows, longest) padded on the right; `prompt_lengths` (rows,); `answers` (rows, 2): the true
    answer's token and the end of the turn; `rows` are the positions in the examples."""

    input_ids: torch.Tensor
    prompt_lengths: torch.Tensor
    answers: torch.Tensor
    rows: NDArray[np.int64]


def collate(examples: TokenizedExamples, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
    """Prompts and the answer's first token, padded on the right to the longest of these rows.

    Padding needs no mask: attention is causal, so nothing that counts ever sees what stands to its right.
    """
    import torch

    yes, no, end = examples.answer_ids
    lengths = examples.lengths[rows]
    ids = np.full((len(rows), int(lengths.max()) + 1), end, dtype=np.int64)
    answers = np.empty((len(rows), 2), dtype=np.int64)
    answers[:, 0] = np.where(examples.labels[rows], yes, no)
    answers[:, 1] = end
    for index, row in enumerate(rows):
        ids[index, : lengths[index]] = examples.prompt(int(row))
        ids[index, lengths[index]] = answers[index, 0]
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(lengths.astype(np.int64)),
        torch.from_numpy(answers),
        np.asarray(rows, dtype=np.int64),
    )


def answer_logits(model: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, tokens: int) -> torch.Tensor:
    """Logits (rows, tokens, vocabulary) of the first `tokens` answer tokens, in the model's dtype.

    Only these positions meet the vocabulary. The hidden states are picked into a 2-D matrix before the head: a
    slice of the 3-D tensor would become a batched product that copies the head's weight for every row on a CPU.
    """
    import torch

    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = causal_lm.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
    rows = torch.arange(len(input_ids), device=hidden.device)
    positions = prompt_lengths.unsqueeze(1) - 1 + torch.arange(tokens, device=hidden.device)
    picked = hidden[rows.unsqueeze(1), positions]  # (rows, tokens, width)
    logits = causal_lm.get_output_embeddings()(picked.flatten(0, 1))
    return logits.view(len(input_ids), tokens, -1)  # type: ignore[no-any-return]


def answer_loss(model: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, answers: torch.Tensor) -> Any:
    """Summed cross-entropy, in nats, of the answers (rows, 2): what training minimises and `eval_loss` averages."""
    from torch.nn import functional

    logits = answer_logits(model, input_ids, prompt_lengths, answers.shape[1])
    return functional.cross_entropy(logits.float().flatten(0, 1), answers.flatten(), reduction="sum")


def score(
    model: Any,
    examples: TokenizedExamples,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda rows_done: None,
) -> tuple[AnswerScores, float]:
    """Scores of `rows` in their order, and the mean cross-entropy of their answers' tokens, in nats.

    Rows of like length go together. The same rows and batch size give the same batches, so that base and adapter
    are compared on identical arithmetic. `on_batch` is told the rows of each finished batch.
    """
    import torch

    log_p = np.empty((len(rows), 2), dtype=np.float64)
    total = 0.0
    device = next(model.parameters()).device
    yes, no, _ = examples.answer_ids
    with torch.inference_mode():
        for places in batches_by_length(examples.lengths[rows], batch_size):
            batch = collate(examples, rows[places])
            answers = batch.answers.to(device)
            logits = answer_logits(model, batch.input_ids.to(device), batch.prompt_lengths.to(device), 2)
            log_probs = logits.float().log_softmax(dim=-1)  # (rows, 2, vocabulary)
            total -= log_probs.gather(2, answers.unsqueeze(2)).double().sum().item()
            log_p[places] = log_probs[:, 0, [yes, no]].double().cpu().numpy()
            on_batch(len(places))
    return AnswerScores(log_p[:, 0], log_p[:, 1]), total / (2 * len(rows)) if len(rows) else float("nan")


def batches_by_length(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Places 0 … n − 1 in batches of like length, the longest first: a batch that does not fit shows at once."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
