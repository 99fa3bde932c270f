"""How much memory a training needs, by parts, from nothing but the model's `config.json`.

The activations are counted as autograd keeps them (a test counts what it really keeps): for each token of each layer
the norms keep fp32 copies of their inputs, attention keeps query, key, value and output, the gated MLP keeps three
products, and LoRA keeps its layers' inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from movielora.config import Config, ResolvedConfig
from movielora.errors import ModelError
from movielora.machine.gpu import Gpu
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.machine.units import MIB
from movielora.model import tiny
from movielora.model.base import Device, choose_precision
from movielora.model.estimates.known_models import KNOWN_MODELS
from movielora.model.folder import read_model_config
from movielora.model.hub import config_file
from movielora.model.quantization import FOUR_BIT_BYTES

# The process without a model. CPU: measured resident memory after the imports of a training (torch 2.13,
# transformers 5.23). CUDA: the context, cuBLAS and what the allocator rounds up; measured values differ by driver.
_FRAMEWORK: dict[str, int] = {"cpu": 750 * MIB, "cuda": 800 * MIB}
# Ampere is the first that computes bf16.
BF16_CAPABILITY = (8, 0)
# The answer's token and the end of the turn: the only positions that meet the vocabulary.
_ANSWER_TOKENS = 2
_FP32 = 4
# A dropped-out place is kept as an int64.
_PLACE = 8


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family: what its `config.json` says. Widths in numbers, not bytes."""

    layers: int
    hidden: int
    mlp: int
    query_width: int
    key_width: int
    heads: int
    vocabulary: int
    tied: bool
    head_norms: bool
    # Whether the last layer can be computed at the answers only (`answer_layer.py`).
    answer_layer: bool = False

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Module name → (inputs, outputs) of each linear layer of a decoder layer."""
        return {
            "q_proj": (self.hidden, self.query_width),
            "k_proj": (self.hidden, self.key_width),
            "v_proj": (self.hidden, self.key_width),
            "o_proj": (self.query_width, self.hidden),
            "gate_proj": (self.hidden, self.mlp),
            "up_proj": (self.hidden, self.mlp),
            "down_proj": (self.mlp, self.hidden),
        }


@dataclass(frozen=True)
class Setup:
    """How the model is trained. `tokens` is the longest row, `base_bytes` those of a 16- or 32-bit weight."""

    device: Device
    rows: int
    tokens: int
    eval_rows: int
    targets: tuple[str, ...]
    rank: int
    dropout: float
    quantized: bool
    checkpointing: bool
    base_bytes: int = 2
    eager: bool = False

    @property
    def compute_bytes(self) -> int:
        """Of activations and adapters: 4-bit layers compute in bf16."""
        return 2 if self.quantized else self.base_bytes


@dataclass(frozen=True)
class Estimate:
    """Bytes by part; they add up to the peak. `evaluation` is what it needs beyond a training step, often nothing."""

    parts: dict[str, int]

    @property
    def peak_bytes(self) -> int:
        return sum(self.parts.values())


def find_shape(resolved: ResolvedConfig) -> Shape:
    """The shape of the config's model: from its folder, the table of known models, the cache, or the hub.

    Of the hub only `config.json` is fetched. Raises ModelError if there is none, or it is no plain decoder.
    """
    name = resolved.values.model_name_or_path
    if name == tiny.NAME:
        return read_shape({"model_type": "qwen3", **tiny.SHAPE})
    located = resolved.locate(name)
    if not located.is_dir() and name in KNOWN_MODELS:
        return read_shape(KNOWN_MODELS[name].config)
    folder = located if located.is_dir() else config_file(name).parent
    return read_shape(read_model_config(folder))


def parameters(shape: Shape) -> int:
    """How many weights the model has; a tied output head is the embedding and counts once."""
    head_dim = shape.query_width // shape.heads
    norms = shape.layers * (2 * shape.hidden + (2 * head_dim if shape.head_norms else 0)) + shape.hidden
    return linear_parameters(shape) + shape.vocabulary * shape.hidden * (1 if shape.tied else 2) + norms


def read_shape(config: dict[str, Any]) -> Shape:
    """The shape that a `config.json` describes. Raises ModelError if it is no plain decoder of this family."""
    kind = config.get("model_type", "unknown")
    if config.get("num_experts") or config.get("num_local_experts"):
        raise ModelError(f"memory of a mixture of experts ({kind}) is not estimated", "measure it: movielora train")
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        head = int(config.get("head_dim") or hidden // heads)
        return Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            mlp=int(config["intermediate_size"]),
            query_width=heads * head,
            key_width=int(config.get("num_key_value_heads") or heads) * head,
            heads=heads,
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            head_norms=kind.startswith("qwen3"),
            answer_layer=kind == "qwen3"
            and not config.get("use_sliding_window")
            and not config.get("attention_dropout"),
        )
    except KeyError as error:
        raise ModelError(f"the model's config.json ({kind}) has no {error.args[0]}", "use a Qwen3 model") from None
    except (TypeError, ValueError, ZeroDivisionError):
        raise ModelError(
            f"the model's config.json ({kind}) holds a size that is no number", "use a Qwen3 model"
        ) from None


def setup_of(config: Config, device: Device, *, bf16_is_fast: bool) -> Setup:
    """The settings of a config on a device. Every row is taken to be as long as `cutoff_len` allows."""
    dtype, quantized = choose_precision(config, device, bf16_is_fast=bf16_is_fast)
    return Setup(
        device=device,
        rows=1 if config.per_device_train_batch_size == "auto" else config.per_device_train_batch_size,
        tokens=config.cutoff_len,
        eval_rows=0 if config.eval_strategy == "no" else config.per_device_eval_batch_size,
        targets=tuple(config.target_modules),
        rank=config.lora_rank,
        dropout=config.lora_dropout,
        quantized=quantized,
        checkpointing=config.gradient_checkpointing,
        base_bytes=2 if dtype == "bfloat16" else 4,
        eager=config.flash_attn == "eager",
    )


def setup_here(config: Config, gpus: Sequence[Gpu]) -> Setup:
    """The settings on the first of `gpus`, or on the processor if there is none; torch is not asked."""
    device: Device = "cuda" if gpus else "cpu"
    if device == "cpu":
        return setup_of(config, device, bf16_is_fast=computes_bf16_fast(cpu_flags()))
    known = gpus[0].capability
    fast = not known or tuple(int(part) for part in known.split(".")) >= BF16_CAPABILITY
    return setup_of(config, device, bf16_is_fast=fast)


def estimate(shape: Shape, setup: Setup) -> Estimate:
    """The peak of a training with these settings, in bytes, by part."""
    adapters = adapter_parameters(shape, setup)
    masters = 0 if setup.compute_bytes == _FP32 else _FP32
    step = {"activations": _step_activations(shape, setup), "logits": _step_logits(shape, setup)}
    return Estimate(
        {
            "base_weights": _base_bytes(shape, setup),
            "adapters": adapters * setup.compute_bytes,
            "gradients": adapters * _FP32,
            "optimizer": adapters * (2 * _FP32 + masters),  # AdamW's two moments, and fp32 masters of bf16 adapters
            **step,
            "evaluation": max(0, _evaluation_bytes(shape, setup) - sum(step.values())),
            "framework": _FRAMEWORK[setup.device],
        }
    )


def linear_parameters(shape: Shape) -> int:
    """Weights of the decoder layers' linear parts: those that every token passes through."""
    return shape.layers * sum(inputs * outputs for inputs, outputs in shape.linears.values())


def _base_bytes(shape: Shape, setup: Setup) -> int:
    """Embedding, head and norms stay in 16 bits in a 4-bit model."""
    linear = linear_parameters(shape)
    embedding = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    norms = shape.layers * 2 * shape.hidden + shape.hidden
    rest = (embedding + norms) * setup.base_bytes
    return rest + round(linear * (FOUR_BIT_BYTES if setup.quantized else setup.base_bytes))


def adapter_parameters(shape: Shape, setup: Setup) -> int:
    """LoRA: rank × (inputs + outputs) for each adapted layer."""
    widths = (sum(sizes) for name, sizes in shape.linears.items() if name in setup.targets)
    return shape.layers * setup.rank * sum(widths)


def saved_bytes_of_a_layer(shape: Shape, setup: Setup) -> int:
    """Bytes that autograd keeps for one token of one decoder layer until the backward pass."""
    width = setup.compute_bytes
    norms = 2 * _FP32 * shape.hidden + 2 * _FP32
    if shape.head_norms:
        norms += _FP32 * (shape.query_width + shape.key_width)
        head = shape.query_width // shape.heads
        norms += _FP32 * (shape.heads + shape.key_width // head)
    attention = width * (2 * shape.query_width + 2 * shape.key_width)
    if setup.eager:  # every score of a row, in fp32 and again in the model's type if that is another
        attention += (_FP32 + (width if width != _FP32 else 0)) * shape.heads * setup.tokens
    else:  # the log-sum-exp of each head
        attention += _FP32 * shape.heads
    mlp = 3 * width * shape.mlp
    return norms + attention + mlp + _lora_inputs(shape, setup)


def saved_bytes_of_answer_layer(shape: Shape, setup: Setup) -> int:
    """The same for a last layer computed at the answers only (`answer_layer.py`): keys and values, little else."""
    head = shape.query_width // shape.heads
    norms = _FP32 * (shape.hidden + 1 + shape.key_width + shape.key_width // head)
    return norms + 2 * setup.compute_bytes * shape.key_width + _lora_inputs(shape, setup, ("k_proj", "v_proj"))


def _lora_inputs(shape: Shape, setup: Setup, of: tuple[str, ...] | None = None) -> int:
    """Bytes of the inputs that LoRA's two matrices keep for one token of one layer, or of its modules `of`.

    On CUDA each adapted layer keeps its dropped-out copy and a mask of bytes. On the CPU (`cpu/lora.py`) it keeps the
    plain input, which neighbours share, and the places that fell out.
    """
    adapted = {
        name: sizes for name, sizes in shape.linears.items() if name in setup.targets and (of is None or name in of)
    }
    inner = len(adapted) * setup.rank * setup.compute_bytes
    if setup.dropout and setup.device == "cuda":
        return inner + sum(inputs * (1 + setup.compute_bytes) for inputs, _ in adapted.values())
    places = round(setup.dropout * _PLACE * sum(inputs for inputs, _ in adapted.values()))
    # The input of o_proj is attention's output, which is kept already.
    neighbours = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"), ("down_proj",))
    groups = [group for group in neighbours if any(name in adapted for name in group)]
    return inner + places + sum(shape.linears[group[0]][0] * setup.compute_bytes for group in groups)


def _step_activations(shape: Shape, setup: Setup) -> int:
    """What is kept for the backward pass, and the working memory of the layer being computed."""
    count = setup.rows * setup.tokens
    layer = saved_bytes_of_a_layer(shape, setup)
    working = count * 6 * setup.compute_bytes * shape.mlp + _unpacked_layer(shape, setup)
    if setup.checkpointing:  # each layer's input, and one layer recomputed
        return count * (shape.layers * setup.compute_bytes * shape.hidden + layer) + working
    last = saved_bytes_of_answer_layer(shape, setup) if shape.answer_layer else layer
    return count * ((shape.layers - 1) * layer + last) + working


def _unpacked_layer(shape: Shape, setup: Setup) -> int:
    """A 4-bit layer is unpacked to 16 bits for its product: the largest one is in memory beside the packed."""
    return max(a * b for a, b in shape.linears.values()) * setup.compute_bytes if setup.quantized else 0


def _step_logits(shape: Shape, setup: Setup) -> int:
    """Logits and their gradient in the model's type and in fp32, and the kept log-softmax."""
    return setup.rows * _ANSWER_TOKENS * shape.vocabulary * (2 * setup.base_bytes + 3 * _FP32)


def _evaluation_bytes(shape: Shape, setup: Setup) -> int:
    """Without gradients nothing is kept: the widest moment of one layer, then the logits."""
    count = setup.eval_rows * setup.tokens
    width = 5 * setup.compute_bytes * shape.mlp + (2 * _FP32 + 2 * setup.compute_bytes) * shape.hidden
    logits = setup.eval_rows * _ANSWER_TOKENS * shape.vocabulary * (setup.base_bytes + 2 * _FP32)
    return max(count * width + _unpacked_layer(shape, setup), logits) if setup.eval_rows else 0
