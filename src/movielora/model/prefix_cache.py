"""The tokens that all prompts begin with (template, system text, instruction), passed through the model once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from movielora.model.causal_lm import causal_lm_of
from movielora.prompt.token_sets import PromptTokens

if TYPE_CHECKING:
    import torch

# Below this the keys and values cost more to copy into every batch than they save.
_LEAST_TOKENS = 16
# Rows whose first tokens are compared at once.
_COMPARED_ROWS = 1024


@dataclass(frozen=True)
class PrefixCache:
    """`length` tokens that all rows share, and every layer's keys and values of them (1, heads, length, head dim)."""

    length: int
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @classmethod
    def of(cls, model: Any, examples: PromptTokens, rows: NDArray[np.int64]) -> PrefixCache:
        """Of `rows` under `model` as it is now: its weights, and its adapter on or off."""
        import torch
        from transformers import DynamicCache

        causal_lm = causal_lm_of(model)
        length = shared_length(examples, rows)
        if length < _LEAST_TOKENS or not _attends_to_everything(causal_lm.config):
            return cls(0, ())
        ids = torch.from_numpy(examples.prompt(int(rows[0]))[:length].astype(np.int64)).unsqueeze(0)
        cache = DynamicCache()
        causal_lm.get_decoder()(
            input_ids=ids.to(causal_lm.get_input_embeddings().weight.device), past_key_values=cache, use_cache=True
        )
        return cls(length, tuple((layer.keys, layer.values) for layer in cache.layers))

    def cache(self, rows: int) -> Any:
        """A fresh cache holding the prefix for `rows` rows, to be filled by one batch; None without a prefix."""
        from transformers import DynamicCache

        if not self.length:
            return None
        cache = DynamicCache()
        for index, (keys, values) in enumerate(self.layers):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
        return cache


def shared_length(examples: PromptTokens, rows: NDArray[np.int64]) -> int:
    """How many tokens the prompts of `rows` have in common at their start; each keeps one token of its own."""
    if len(rows) < 2:
        return 0
    shortest = int(examples.lengths[rows].min())
    first = np.asarray(examples.prompt(int(rows[0])))[: shortest - 1]
    length = len(first)
    for start in range(0, len(rows), _COMPARED_ROWS):
        ids, offsets = examples.prompts(rows[start : start + _COMPARED_ROWS])
        heads = ids[offsets[:-1, None] + np.arange(length)]  # (rows, length)
        differs = np.flatnonzero((heads != first[:length]).any(axis=0))
        length = int(differs[0]) if len(differs) else length
    return length


def _attends_to_everything(config: Any) -> bool:
    """No sliding window and no recurrent layer, whose state is more than keys and values."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    return set(kinds) == {"full_attention"}
