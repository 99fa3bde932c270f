"""Compute Yes or No from one forward pass, read at the answer position.

Training's loss, the evaluation in training, `compare` and `merge` all use `_answer_states`, so the figures that
training prints are those of the finished adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example_set import UNKNOWN_LABEL, YES_LABEL
from movielora.model.causal_lm import causal_lm_of
from movielora.model.prefix_cache import PrefixCache
from movielora.prompt.token_sets import PromptTokens

if TYPE_CHECKING:
    import torch


# `torch.nn.functional.cross_entropy` leaves such a target out.
_NO_ANSWER = -100


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
        """P(Yes) + P(No): how much of the probability is an answer at all."""
        return np.exp(self.log_p_yes) + np.exp(self.log_p_no)


@dataclass(frozen=True)
class Batch:
    """`input_ids` (rows, longest) padded on the right; `prompt_lengths` (rows,); `answers` (rows, 2): the true
    answer's token and the end of the turn, both −100 if the answer is unknown; `rows` are the positions in the
    examples."""

    input_ids: torch.Tensor
    prompt_lengths: torch.Tensor
    answers: torch.Tensor
    rows: NDArray[np.int64]


def collate(examples: PromptTokens, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
    """Prompts and the answer's first token, padded on the right to the longest of these rows.

    Padding needs no mask: attention is causal, so nothing that counts ever sees what is to its right. For the same
    reason a row with an unknown answer (label −1) holds No in the place of its answer: its scores are the same bits.
    """
    import torch

    rows = np.asarray(rows, dtype=np.int64)
    yes, no, end = examples.answer_ids
    prompts, offsets = examples.prompts(rows)
    lengths = np.diff(offsets)
    ids = np.full((len(rows), int(lengths.max()) + 1), end, dtype=np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = prompts
    labels = examples.labels[rows]
    answers = np.empty((len(rows), 2), dtype=np.int64)
    answers[:, 0] = np.where(labels == YES_LABEL, yes, no)
    answers[:, 1] = end
    ids[np.arange(len(rows)), lengths] = answers[:, 0]
    answers[labels == UNKNOWN_LABEL] = _NO_ANSWER
    return Batch(torch.from_numpy(ids), torch.from_numpy(lengths), torch.from_numpy(answers), rows)


def answer_logits(model: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, tokens: int) -> torch.Tensor:
    """Logits (rows, tokens, vocabulary) of the first `tokens` answer tokens, in the model's dtype.

    Only these positions meet the vocabulary. The hidden states are picked into a 2-D matrix before the head: a
    slice of the 3-D tensor would become a batched product that copies the head's weight for every row on a CPU.
    """
    causal_lm = causal_lm_of(model)
    hidden = _answer_states(causal_lm, input_ids, prompt_lengths, tokens)
    logits = causal_lm.get_output_embeddings()(hidden.flatten(0, 1))
    return logits.view(len(input_ids), tokens, -1)  # type: ignore[no-any-return]


def _answer_states(
    causal_lm: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, tokens: int, cache: Any = None
) -> torch.Tensor:
    """Hidden states (rows, tokens, width) from which the answer's tokens are predicted.

    `cache` holds the keys and values of what stands before `input_ids`; `prompt_lengths` (rows,) do not count it.
    With a cache rows stay padded: its keys and values are rows too.
    """
    import torch

    from movielora.model.answer_layer import has_answer_layer
    from movielora.model.kernels.padding_free import lay_end_to_end

    positions = prompt_lengths.unsqueeze(1) - 1 + torch.arange(tokens, device=input_ids.device)
    given: dict[str, Any] = {"input_ids": input_ids}
    if cache is None and _takes_rows_end_to_end(causal_lm):
        given, starts = lay_end_to_end(input_ids, prompt_lengths + tokens - 1)
        positions = (starts.unsqueeze(1) + positions).view(1, -1)
    answers_only = has_answer_layer(causal_lm)
    if answers_only:
        given["answer_positions"] = positions
    decoder = causal_lm.get_decoder()
    hidden = decoder(**given, past_key_values=cache, use_cache=cache is not None).last_hidden_state
    if not answers_only:
        hidden = hidden[torch.arange(len(hidden), device=hidden.device).unsqueeze(1), positions]
    return hidden.view(len(prompt_lengths), tokens, -1)  # type: ignore[no-any-return]


def _takes_rows_end_to_end(causal_lm: Any) -> bool:
    """With flash attention, whose kernel keeps rows apart by their bounds; any other would compute a mask of all the
    rows' tokens against each other. If the last layer has a form that is not known here, rows are padded."""
    from movielora.model.answer_layer import has_answer_layer

    return causal_lm.config._attn_implementation == "flash_attention_2" and has_answer_layer(causal_lm)


def answer_loss(model: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, answers: torch.Tensor) -> Any:
    """Summed cross-entropy, in nats, of the answers (rows, 2): what training minimises and `eval_loss` averages.

    Answers of −100 (unknown) are left out.
    """
    from torch.nn import functional

    logits = answer_logits(model, input_ids, prompt_lengths, answers.shape[1])
    targets = answers.flatten()
    return functional.cross_entropy(logits.float().flatten(0, 1), targets, ignore_index=_NO_ANSWER, reduction="sum")


def score(
    model: Any,
    examples: PromptTokens,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda rows_done: None,
) -> tuple[AnswerScores, float]:
    """Score `rows`, in their order; also return the mean cross-entropy of their answers' tokens, in nats.

    The loss is the mean over the rows with a known answer (label 1 or 0), NaN if there are none; the scores do not
    depend on the labels. Rows of similar length go together, as many as hold the tokens of `batch_size` rows of mean
    length. The tokens that all prompts begin with pass through the model once, and their keys and values are used
    again for every batch. The same rows and batch size give the same batches, so that base and adapter are compared
    on identical arithmetic. `on_batch` is called with the rows of each finished batch.
    """
    import torch

    log_p = np.empty((len(rows), 2), dtype=np.float64)
    total, answered = 0.0, 0
    device = next(model.parameters()).device
    with torch.inference_mode():
        prefix = PrefixCache.of(model, examples, rows)
        for places in batches_by_tokens(examples.lengths[rows].astype(np.int64) - prefix.length, batch_size):
            batch = collate(examples, rows[places])
            log_probs = _log_probs(model, batch, prefix, examples.answer_ids)  # (rows, 2, vocabulary), fp32
            known = batch.answers[:, 0] != _NO_ANSWER
            answered += int(known.sum())
            answers = batch.answers.clamp(min=0).to(device)
            answer_log_p = log_probs.gather(2, answers.unsqueeze(2)).double().squeeze(2)  # (rows, 2)
            total -= answer_log_p[known.to(device)].sum().item()
            log_p[places] = log_probs[:, 0, list(examples.answer_ids[:2])].double().cpu().numpy()
            on_batch(len(places))
    return AnswerScores(log_p[:, 0], log_p[:, 1]), total / (2 * answered) if answered else float("nan")


def _log_probs(model: Any, batch: Batch, prefix: PrefixCache, answer_ids: tuple[int, int, int]) -> torch.Tensor:
    """ln of the full softmax (rows, 2, vocabulary) for both answer tokens, in fp32.

    The logits of the answer's own tokens are computed again in fp32 from the hidden states: bf16 logits of 16 are
    0.125 apart, and the log-odds would be too.
    """
    import torch

    causal_lm = causal_lm_of(model)
    head = causal_lm.get_output_embeddings()
    device = head.weight.device
    picked = _answer_states(
        causal_lm,
        batch.input_ids[:, prefix.length :].to(device),
        batch.prompt_lengths.to(device) - prefix.length,
        2,
        prefix.cache(len(batch.rows)),
    ).flatten(0, 1)
    logits = head(picked).float()
    words = list(answer_ids)
    # Written out: a matrix product would be free to round its inputs (TF32).
    logits[:, words] = torch.stack([(picked.float() * head.weight[word].float()).sum(-1) for word in words], dim=-1)
    return logits.view(len(batch.rows), 2, -1).log_softmax(dim=-1)  # type: ignore[no-any-return]


def batches_by_tokens(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Places 0 … n − 1 in batches of similar length, the longest first: a batch that does not fit fails at once.

    A batch, padded to its longest row, holds at most the tokens of `batch_size` rows of mean length, and one row at
    least.
    """
    order = np.argsort(-lengths, kind="stable")
    room = batch_size * float(lengths.mean()) if len(lengths) else 0.0
    start = 0
    while start < len(order):
        count = max(1, int(room // max(1, lengths[order[start]])))
        yield order[start : start + count]
        start += count
