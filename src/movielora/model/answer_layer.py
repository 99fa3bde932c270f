"""The last decoder layer, computed only at the answer's positions.

Only two positions of a row are read from the last layer. Its keys and values need every position; its queries, its
output projection and its MLP, seven eighths of its weights, need only those two. What the other positions would
have held is never read, so losses, gradients and scores are those of the whole layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, rotate_half


def install_answer_layer(causal_lm: Any) -> bool:
    """Let the last layer of `causal_lm` take `answer_positions`; False if it is of a form not known here.

    Its few queries always go through torch's own attention, whichever kernel the other layers use.
    """
    layer = _last_layer(causal_lm)
    if type(layer) is not Qwen3DecoderLayer:
        return False
    if layer.self_attn.sliding_window is not None or layer.self_attn.attention_dropout:
        return False
    layer.__class__ = AnswerLayer
    return True


def has_answer_layer(causal_lm: Any) -> bool:
    """Whether the decoder, given `answer_positions`, returns only those positions."""
    return isinstance(_last_layer(causal_lm), AnswerLayer)


def _last_layer(causal_lm: Any) -> Any:
    return getattr(causal_lm.get_decoder(), "layers", (None,))[-1]


class AnswerLayer(Qwen3DecoderLayer):  # type: ignore[misc]
    """Qwen3's layer; given `answer_positions` (rows, tokens), places in `hidden_states`, it returns only those:
    (rows, tokens, width). Without them it is Qwen3's own. Rows may be padded, or laid end to end as one row whose
    `position_ids` start from zero at each."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        *args: Any,
        position_ids: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        past_key_values: Any = None,
        answer_positions: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        if answer_positions is None:
            return super().forward(  # type: ignore[no-any-return]
                hidden_states,
                *args,
                position_ids=position_ids,
                position_embeddings=position_embeddings,
                past_key_values=past_key_values,
                **kwargs,
            )
        at_answers = (torch.arange(len(hidden_states), device=hidden_states.device).unsqueeze(1), answer_positions)
        normed = self.input_layernorm(hidden_states)
        cos, sin = (part.expand(len(hidden_states), -1, -1) for part in position_embeddings)
        keys, values = self._keys_and_values(normed, cos, sin, past_key_values)
        queries = self._queries(normed[at_answers], cos[at_answers], sin[at_answers])
        # Keys count from those that a cache brought. An answer sees from where its positions start up to itself.
        last = (answer_positions + (keys.shape[2] - hidden_states.shape[1])).unsqueeze(-1)
        first = last - position_ids.expand(len(hidden_states), -1)[at_answers].unsqueeze(-1)
        places = torch.arange(keys.shape[2], device=keys.device)
        mask = (first <= places) & (places <= last)  # (rows, tokens, keys)
        picked = hidden_states[at_answers] + self.self_attn.o_proj(
            _attend(queries, keys, values, mask, self.self_attn.scaling)
        )
        return picked + self.mlp(self.post_attention_layernorm(picked))  # type: ignore[no-any-return]

    def _queries(self, normed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """(rows, heads, tokens, head dim), turned to their positions."""
        attention = self.self_attn
        heads = attention.q_proj(normed).view(*normed.shape[:2], -1, attention.head_dim)
        return _turned(attention.q_norm(heads).transpose(1, 2), cos, sin)

    def _keys_and_values(
        self, normed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, past_key_values: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every position, each (rows, heads, positions, head dim), a cache's before them."""
        attention = self.self_attn
        size = (*normed.shape[:2], -1, attention.head_dim)
        keys = _turned(attention.k_norm(attention.k_proj(normed).view(size)).transpose(1, 2), cos, sin)
        values = attention.v_proj(normed).view(size).transpose(1, 2)
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, attention.layer_idx)
        return keys, values


def _attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """Softmax attention (rows, tokens, heads · head dim) of few queries.

    The heads that share keys and values are treated as more queries of the same keys: nothing is repeated.
    """
    rows, heads, tokens, width = queries.shape
    shared = keys.shape[1]
    grouped = queries.reshape(rows, shared, -1, width)  # (rows, key heads, sharing · tokens, head dim)
    attended = functional.scaled_dot_product_attention(
        grouped, keys, values, attn_mask=mask.repeat(1, heads // shared, 1).unsqueeze(1), scale=scale
    )
    return attended.reshape(rows, heads, tokens, width).transpose(1, 2).flatten(2)


def _turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864); `states` (rows, heads, positions, head dim)."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return states * cos + rotate_half(states) * sin  # type: ignore[no-any-return]
