"""Yes or No: one forward pass, read at the answer position. The only way movielora gets an answer from a model.

Training's loss, the evaluation in training and `compare` all come through `_answer_states`, so what training shows is
what the finished adapter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from movielora.examples.example_set import YES_LABEL
from movielora.model.causal_lm import causal_lm_of
from movielora.model.prefix_cache import Opening
from movielora.prompt.token_sets import PromptTokens

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


def collate(examples: PromptTokens, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
    """Prompts and the answer's first token, padded on the right to the longest of these rows.

    Padding needs no mask: attention is causal, so nothing that counts ever sees what stands to its right.
    """
    import torch

    rows = np.asarray(rows, dtype=np.int64)
    yes, no, end = examples.answer_ids
    prompts, offsets = examples.prompts(rows)
    lengths = np.diff(offsets)
    ids = np.full((len(rows), int(lengths.max()) + 1), end, dtype=np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = prompts
    answers = np.empty((len(rows), 2), dtype=np.int64)
    answers[:, 0] = np.where(examples.labels[rows] == YES_LABEL, yes, no)
    answers[:, 1] = end
    ids[np.arange(len(rows)), lengths] = answers[:, 0]
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(lengths),
        torch.from_numpy(answers),
        rows,
    )


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
    Behind a cache rows stay padded: its keys and values are rows too.
    """
    import torch

    from movielora.model.answer_layer import has_answer_layer
    from movielora.model.kernels.padding_free import lay_end_to_end

    positions = prompt_lengths.unsqueeze(1) - 1 + torch.arange(tokens, device=input_ids.device)
    given: dict[str, Any] = {"input_ids": input_ids}
    if cache is None and _takes_rows_end_to_end(causal_lm):
        given, starts = lay_end_to_end(input_ids, prompt_lengths + tokens - 1)
        positions = (starts.unsqueeze(1) + positions).view(1, -1)
    alone = has_answer_layer(causal_lm)
    if alone:
        given["answer_positions"] = positions
    decoder = causal_lm.get_decoder()
    hidden = decoder(**given, past_key_values=cache, use_cache=cache is not None).last_hidden_state
    if not alone:
        hidden = hidden[torch.arange(len(hidden), device=hidden.device).unsqueeze(1), positions]
    return hidden.view(len(prompt_lengths), tokens, -1)  # type: ignore[no-any-return]


def _takes_rows_end_to_end(causal_lm: Any) -> bool:
    """With flash attention, whose kernel keeps rows apart by their bounds; any other would compute a mask of all the
    rows' tokens against each other. Where the last layer is of a form not known here, padding is safe."""
    from movielora.model.answer_layer import has_answer_layer

    return causal_lm.config._attn_implementation == "flash_attention_2" and has_answer_layer(causal_lm)


def answer_loss(model: Any, input_ids: torch.Tensor, prompt_lengths: torch.Tensor, answers: torch.Tensor) -> Any:
    """Summed cross-entropy, in nats, of the answers (rows, 2): what training minimises and `eval_loss` averages."""
    from torch.nn import functional

    logits = answer_logits(model, input_ids, prompt_lengths, answers.shape[1])
    return functional.cross_entropy(logits.float().flatten(0, 1), answers.flatten(), reduction="sum")


def score(
    model: Any,
    examples: PromptTokens,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda rows_done: None,
) -> tuple[AnswerScores, float]:
    """Scores of `rows` in their order, and the mean cross-entropy of their answers' tokens, in nats.

    Rows of like length go together, as many as hold the tokens of `batch_size` rows of mean length. The tokens that
    all prompts begin with pass through the model once, and their keys and values are used again for every batch. The
    same rows and batch size give the same batches, so that base and adapter are compared on identical arithmetic.
    `on_batch` is told the rows of each finished batch.
    """
    import torch

    log_p = np.empty((len(rows), 2), dtype=np.float64)
    total = 0.0
    device = next(model.parameters()).device
    with torch.inference_mode():
        opening = Opening.of(model, examples, rows)
        for places in batches_by_tokens(examples.lengths[rows] - opening.length, batch_size):
            batch = collate(examples, rows[places])
            log_probs = _log_probs(model, batch, opening, examples.answer_ids)  # (rows, 2, vocabulary), fp32
            answers = batch.answers.to(device)
            total -= log_probs.gather(2, answers.unsqueeze(2)).double().sum().item()
            log_p[places] = log_probs[:, 0, list(examples.answer_ids[:2])].double().cpu().numpy()
            on_batch(len(places))
    return AnswerScores(log_p[:, 0], log_p[:, 1]), total / (2 * len(rows)) if len(rows) else float("nan")


def _log_probs(model: Any, batch: Batch, opening: Opening, answer_ids: tuple[int, int, int]) -> torch.Tensor:
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
        batch.input_ids[:, opening.length :].to(device),
        batch.prompt_lengths.to(device) - opening.length,
        2,
        opening.cache(len(batch.rows)),
    ).flatten(0, 1)
    logits = head(picked).float()
    words = list(answer_ids)
    # Written out: a matrix product would be free to round its inputs (TF32).
    logits[:, words] = torch.stack([(picked.float() * head.weight[word].float()).sum(-1) for word in words], dim=-1)
    return logits.view(len(batch.rows), 2, -1).log_softmax(dim=-1)  # type: ignore[no-any-return]


def batches_by_tokens(lengths: NDArray[np.integer], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Places 0 … n − 1 in batches of like length, the longest first: a batch that does not fit shows at once.

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
