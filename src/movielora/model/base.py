"""Base weights: where they are, on which device, in which precision, and loading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movielora.config import Config
from movielora.data.quiet import quiet_libraries
from movielora.errors import ModelError
from movielora.model import tiny

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Placement:
    """`device`: `cuda` or `cpu`; `dtype`: `bfloat16`, `float16` or `float32`; `quantized`: 4-bit nf4."""

    device: str
    dtype: str
    quantized: bool
    attention: str | None

    @property
    def torch_dtype(self) -> torch.dtype:
        import torch

        return getattr(torch, self.dtype)  # type: ignore[no-any-return]


def find_base(name: str, cache_dir: Path, located: Path) -> str:
    """What `from_pretrained` is given: the folder of the embedded base, the located folder, or the name itself."""
    if name == tiny.NAME:
        return str(tiny.build_tiny_base(cache_dir))
    return str(located.resolve()) if located.is_dir() else name


def choose_placement(config: Config) -> Placement:
    """Device and precision for this machine: bf16 only where it is fast, 4-bit by default only on CUDA."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if config.fp16 and device == "cpu":
        raise ModelError("`fp16: true` needs a CUDA GPU", "--set fp16=false")
    quantized = config.use_qlora if config.use_qlora is not None else device == "cuda"
    wants_bf16 = config.bf16 if config.bf16 is not None else (not config.fp16 and _bf16_is_fast(device))
    attention = None if config.flash_attn is False else ("sdpa" if config.flash_attn == "auto" else config.flash_attn)
    return Placement(device, "bfloat16" if wants_bf16 else "float32", quantized, attention)


def _bf16_is_fast(device: str) -> bool:
    """On CUDA: where the GPU has it. On a CPU: with AVX-512 bf16 or AMX; else it can be tens of times slower."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def load_base(source: str, placement: Placement) -> Any:
    """The frozen base at `source` (folder or Hugging Face name), in evaluation mode on its device.

    Raises ModelError where it is neither a folder nor reachable, or is damaged.
    """
    import torch
    from transformers import AutoModelForCausalLM

    quiet_libraries()
    options: dict[str, Any] = {"dtype": placement.torch_dtype, "trust_remote_code": False, "use_safetensors": True}
    if placement.attention:
        options["attn_implementation"] = placement.attention
    if placement.quantized:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    if placement.device == "cuda":
        options["device_map"] = {"": 0}
    try:
        model = AutoModelForCausalLM.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"the base `{source}` cannot be loaded: {str(error).strip().splitlines()[0]}",
            "set model_name_or_path to a complete model folder, a reachable name, or `tiny` for the embedded base",
        ) from error
    model.requires_grad_(False)
    return model.eval()
