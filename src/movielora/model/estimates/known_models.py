"""The Qwen3 models that movielora is meant for: their shapes and sizes, so that no network is needed to plan with them.

The facts are those of each model's `config.json` and of the weights files beside it, read on 2026-11-25.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_BYTES_OF_A_WEIGHT = 2  # bfloat16
# tokenizer.json, vocab.json, merges.txt and the small JSON files.
_OTHER_FILES = 16_000_000


@dataclass(frozen=True)
class KnownModel:
    """`config` is what `config.json` says of the shape; `stored_weights` is how many numbers its files hold, which for
    the small ones is more than the model has: they store the tied output head again."""

    config: dict[str, Any]
    stored_weights: int

    @property
    def download_bytes(self) -> int:
        """Of all files that are fetched: weights, tokenizer, settings."""
        return self.stored_weights * _BYTES_OF_A_WEIGHT + _OTHER_FILES


def _qwen3(hidden: int, mlp: int, layers: int, heads: int, *, tied: bool) -> dict[str, Any]:
    return {
        "model_type": "qwen3",
        "vocab_size": 151_936,
        "hidden_size": hidden,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": tied,
    }


KNOWN_MODELS = {
    "Qwen/Qwen3-0.6B": KnownModel(_qwen3(1024, 3072, 28, 16, tied=True), 751_632_384),
    "Qwen/Qwen3-1.7B": KnownModel(_qwen3(2048, 6144, 28, 16, tied=True), 2_031_739_904),
    "Qwen/Qwen3-4B": KnownModel(_qwen3(2560, 9728, 36, 32, tied=True), 4_022_468_096),
    "Qwen/Qwen3-8B": KnownModel(_qwen3(4096, 12_288, 36, 32, tied=False), 8_190_735_360),
}
