"""The embedded base: a small Qwen3, built when it is first needed, so that every step runs anywhere.

The architecture is the real one (grouped-query attention, query and key norms, SwiGLU, tied embeddings) at two layers
of width 64; the weights are random and stay frozen, and LoRA learns on top of them. The tokenizer is a byte-level BPE
with Qwen's pre-tokenizer, trained on synthetic film titles, and uses Qwen3's chat form. It is no language model: it
exists to show and test every step, not to give good answers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from movielora.errors import ModelError, OutputError, first_line
from movielora.machine.library_output import quiet_libraries
from movielora.model.folder import check_weights, read_model_config
from movielora.prompt.render import render_input
from movielora.prompt.spec import INSTRUCTION, SYSTEM
from movielora.sources.synthetic import synthetic_titles
from movielora.storage.atomic import read_json
from movielora.storage.complete_folder import complete_folder

NAME = "tiny"

_VOCABULARY = 1024
SHAPE: dict[str, Any] = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": True,
}
# Of the tokenizer's files, for a plan that is made before they are.
TOKENIZER_BYTES = 35_000
_SEED = 13
# Frozen weights must leave LoRA something to steer. The embedding is also the output head: at the usual 0.02 no logit
# could rise above the others, and the model could never learn to answer.
_EMBEDDING_STD = 0.3
_LAYER_STD = 0.1
_CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
# Qwen's pre-tokenizer: contractions, words with their leading space, single digits, punctuation, runs of whitespace.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Qwen3's chat form in short: turns between control tokens, and an empty thinking block before the last answer.
_CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' and loop.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""


_FOLDER_PREFIX = "tiny-base-"


def build_tiny_base(cache_dir: Path) -> Path:
    """The folder of the embedded base, built if it is not there or is damaged; plain `from_pretrained` loads it.

    The folder's name carries a hash of everything that decides its content. Raises OutputError if `cache_dir`
    cannot be written.
    """
    from safetensors import SafetensorError

    corpus = _corpus()
    folder = cache_dir / f"{_FOLDER_PREFIX}{_content_hash(corpus)}"
    if _is_whole(folder):
        return folder.resolve()
    try:
        with complete_folder(folder, _is_whole) as staging:
            _write(staging, corpus)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"the embedded base cannot be written to {cache_dir}: {first_line(error)}",
            "free some space, or --set preprocessing_cache_dir=DIR/preprocessed names another folder",
        ) from None
    return folder.resolve()


def is_embedded(base: str) -> bool:
    """Whether `base`, a folder or a name, is the embedded base."""
    return base == NAME or Path(base).name.startswith(_FOLDER_PREFIX)


def _is_whole(folder: Path) -> bool:
    """Whether every file is there and none is cut short."""
    try:
        read_model_config(folder)
        check_weights(folder)
    except ModelError:
        return False
    tokenizer = ("tokenizer.json", "tokenizer_config.json")
    return all(read_json(folder / name) for name in tokenizer) and (folder / "chat_template.jinja").is_file()


def _corpus() -> list[str]:
    """Prompts and answers over synthetic titles: what the tokenizer's merges are learned from."""
    titles = synthetic_titles(3000, seed=_SEED)
    ratings = [half / 2 for half in range(1, 11)]
    texts = [f"system\n{SYSTEM}", f"user\n{INSTRUCTION}"]
    for start in range(0, len(titles) - 6, 6):
        shown = titles[start : start + 5]
        rated = [ratings[(start + offset * 7) % len(ratings)] for offset in range(5)]
        texts.append(render_input(shown, rated, titles[start + 5]))
    return [*texts, *["Yes", "No", "assistant\n"] * 200]


def _content_hash(corpus: list[str]) -> str:
    facts = json.dumps([corpus, SHAPE, _SEED, _EMBEDDING_STD, _LAYER_STD, _CONTROL_TOKENS, _WORDS, _CHAT_TEMPLATE])
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def _write(folder: Path, corpus: list[str]) -> None:
    quiet_libraries()
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _train_tokenizer(corpus)
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    config = Qwen3Config(**SHAPE, bos_token_id=pad, eos_token_id=end, pad_token_id=pad)
    with torch.random.fork_rng(devices=[]):  # the caller's random state is not ours to change
        torch.manual_seed(_SEED)
        model = Qwen3ForCausalLM(config)
        for parameter in model.parameters():
            if parameter.ndim == 2:  # norms keep their ones
                is_embedding = len(parameter) == _VOCABULARY
                parameter.data.normal_(0.0, _EMBEDDING_STD if is_embedding else _LAYER_STD)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _train_tokenizer(corpus: list[str]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",  # noqa: S106 (no password)
        pad_token="<|endoftext|>",  # noqa: S106
        chat_template=_CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=SHAPE["max_position_embeddings"],
    )
