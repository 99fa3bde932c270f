"""Every name inside TRL, transformers and PEFT that we rely on and that they do not document.

A new version may change them without notice. `tests/training/test_library_internals.py` looks each one up in the
installed versions and fails with its name when it is gone or takes other parameters; it also fails when the sources
use a private name that is not listed here. Plain methods of the trainer that we override (`log`, `evaluate`, …) are
documented, and the same test compares their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Internal:
    """`owner` is `module:Class` or a module; `parameters` are those of a function, None if it is not called here."""

    owner: str
    name: str
    parameters: tuple[str, ...] | None
    why: str


_QWEN3 = "transformers.models.qwen3.modeling_qwen3"

# With an underscore: private by their authors' word.
PRIVATE = (
    Internal(
        "trl:SFTTrainer",
        "_save_checkpoint",
        ("self", "model", "trial"),
        "overridden: a checkpoint is complete or absent, and a failed save need not end the training",
    ),
    Internal(
        "transformers:Trainer",
        "_get_output_dir",
        ("self", "trial"),
        "overridden: the library writes into the working folder of a checkpoint",
    ),
    Internal(
        "transformers.integrations.peft:PeftAdapterMixin",
        "_hf_peft_config_loaded",
        None,
        "read: whether an adapter lay in the base's folder and was loaded with it",
    ),
    Internal(
        "transformers:PreTrainedConfig",
        "_attn_implementation",
        None,
        "read: which attention kernel a loaded model has decides whether rows are padded",
    ),
)

# Without an underscore, and not documented as a place to extend.
UNDOCUMENTED = (
    Internal("trl:SFTTrainer", "create_model_card", None, "overridden: no generated card beside every checkpoint"),
    Internal(
        "peft.tuners.lora.layer:LoraVariant",
        "forward",
        ("module", "active_adapter", "x", "result", "kwargs"),
        "overridden on a CPU: the adapter's product is added in place (`model/cpu/lora.py`)",
    ),
    Internal("peft.tuners.lora.layer:Linear", "get_base_layer", ("self",), "called: where a layer's weights are"),
    Internal(
        f"{_QWEN3}:Qwen3DecoderLayer",
        "forward",
        ("self", "hidden_states", "attention_mask", "position_ids", "past_key_values", "use_cache",
         "position_embeddings", "kwargs"),
        "extended: the last layer at the answers' positions (`model/answer_layer.py`)",
    ),
    Internal(_QWEN3, "rotate_half", ("x",), "called: rotary positions of the answers' queries"),
    Internal(
        "transformers.integrations.liger",
        "apply_liger_kernel",
        ("model", "kernel_config"),
        "called as a model is loaded, and not when its training begins",
    ),
)  # fmt: skip
