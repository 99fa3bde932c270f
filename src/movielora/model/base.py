"""Base weights: where they are, on which device, in which precision, and loading them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from movielora.config import Config, ResolvedConfig
from movielora.errors import ModelError, first_line
from movielora.machine.child import KernelProbe
from movielora.machine.library_output import quiet_libraries
from movielora.machine.process_settings import set_default_variable
from movielora.machine.processor import computes_bf16_fast, cpu_flags
from movielora.model import tiny
from movielora.model.folder import check_tokenizer, check_weights, read_model_config
from movielora.model.hub import config_file, is_cached, stays_local
from movielora.model.kernels.attention import choose_attention, probe_flash_attention, without_gpu
from movielora.model.kernels.liger import MODEL_TYPE, apply_liger, choose_liger, probe_liger
from movielora.model.quantization import keep_differentiable, quantization_config

if TYPE_CHECKING:
    import torch


Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Placement:
    """`device`: `cuda` or `cpu`; `dtype`: `bfloat16`, `float16` or `float32`; `quantized`: 4-bit nf4; `attention`:
    what the loader takes, None for the library's default, and why; `liger`: Liger's kernels, and why (not)."""

    device: str
    dtype: str
    quantized: bool
    attention: str | None
    attention_reason: str = ""
    liger: bool = False
    liger_reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def torch_dtype(self) -> torch.dtype:
        import torch

        return getattr(torch, self.dtype)  # type: ignore[no-any-return]


def find_base(name: str, cache_dir: Path, located: Path) -> str:
    """What `from_pretrained` is given: the folder of the embedded base, the located folder, or the name itself."""
    if name == tiny.NAME:
        return str(tiny.build_tiny_base(cache_dir))
    return str(located.resolve()) if located.is_dir() else name


def base_of_config(resolved: ResolvedConfig) -> str:
    """`find_base` for the base that a config names, its relative paths seen from where the config is meant."""
    name = resolved.values.model_name_or_path
    return find_base(name, resolved.place(resolved.values.preprocessing_cache_dir).parent, resolved.locate(name))


def require_base(name: str, located: Path) -> None:
    """Refuse a base that is neither here nor reachable, or whose folder is not complete, before anything is loaded.

    Raises ModelError.
    """
    if name == tiny.NAME:
        return
    if located.is_dir():
        read_model_config(located)
        check_weights(located)
        check_tokenizer(located)
    elif not is_cached(name):  # the hub is asked for what is not here only
        stays_local(name)


def choose_placement(
    config: Config,
    probe: Callable[[], KernelProbe] = probe_flash_attention,
    quantized: bool | None = None,
    base: str | None = None,
) -> Placement:
    """Device, precision and attention for this machine: bf16 only if it is fast, 4-bit by default only on CUDA.

    `quantized` wins over the config. `base` is what `find_base` gave; None means a Qwen3.
    Raises ModelError for what the config names and this machine cannot do.
    """
    _take_one_gpu()
    import torch

    device: Device = "cuda" if torch.cuda.is_available() else "cpu"
    if config.fp16 and device == "cpu":
        raise ModelError("`fp16: true` needs a CUDA GPU", "--set fp16=false")
    dtype, wants_4bit = choose_precision(config, device, bf16_is_fast=bf16_is_fast(device))
    if quantized is None:
        quantized = wants_4bit
    half_precision = dtype != "float32" or config.fp16 or quantized
    asked = probe if device == "cuda" else without_gpu
    attention = choose_attention(config.flash_attn, asked, half_precision=half_precision)
    liger, liger_reason = choose_liger(
        config.enable_liger_kernel, device, compiled=config.torch_compile, probe=probe_liger,
        model_type=lambda: _model_type(base) if base else MODEL_TYPE,
    )  # fmt: skip
    return Placement(device, dtype, quantized, attention.implementation, attention.reason, liger, liger_reason)


def _keep_from_cudnn_attention() -> None:
    """Leave sdpa its other kernels: cuDNN plans anew for each shape, and every batch has another length. On an H200
    a step took .35 s with it and .17 s without (bench/results/gpu-attention.json)."""
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def _model_type(base: str) -> str:
    """Raises ModelError if the base's config cannot be found."""
    folder = Path(base) if Path(base).is_dir() else config_file(base).parent
    return str(read_model_config(folder)["model_type"])


def _take_one_gpu() -> None:
    """The first visible GPU, in one process: with several in view the trainer would split each batch over them.

    Before CUDA starts, because the variable is read once.
    """
    set_default_variable("CUDA_VISIBLE_DEVICES", "0")


def choose_precision(config: Config, device: Device, *, bf16_is_fast: bool) -> tuple[str, bool]:
    """The base's dtype, and whether it is loaded in 4-bit: what the config says, or else what suits the device."""
    wants_bf16 = config.bf16 if config.bf16 is not None else (not config.fp16 and bf16_is_fast)
    quantized = config.use_qlora if config.use_qlora is not None else device == "cuda"
    return "bfloat16" if wants_bf16 else "float32", quantized


def bf16_is_fast(device: Device) -> bool:
    """On CUDA: whether the GPU has it. On a CPU: whether the processor has units for it."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return computes_bf16_fast(cpu_flags())


def load_base(source: str, placement: Placement) -> Any:
    """The frozen base at `source` (folder or Hugging Face name), in evaluation mode on its device.

    Raises ModelError if it is neither a folder nor reachable, or is damaged.
    """
    from transformers import AutoModelForCausalLM

    from movielora.model.answer_layer import install_answer_layer

    quiet_libraries()
    if Path(source).is_dir():
        read_model_config(Path(source))
        check_weights(Path(source))
    options: dict[str, Any] = {"dtype": placement.torch_dtype, "trust_remote_code": False, "use_safetensors": True}
    local = {"local_files_only": stays_local(source)}
    options |= {**local, "adapter_kwargs": local}  # transformers looks for an adapter there too, and asks apart
    if placement.attention:
        options["attn_implementation"] = placement.attention
    if placement.quantized:
        options["quantization_config"] = quantization_config()
    if placement.device == "cuda":
        options["device_map"] = {"": 0}
        _keep_from_cudnn_attention()
    try:
        model = AutoModelForCausalLM.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"the base `{source}` cannot be loaded: {first_line(error)}",
            "set model_name_or_path to a complete model folder, a reachable name, or `tiny` for the embedded base",
        ) from error
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(
            f"`{source}` holds an adapter (adapter_config.json), which transformers puts on its base by itself",
            "set model_name_or_path to the base only, or to a folder without adapter_config.json",
        )
    if placement.quantized:
        keep_differentiable(model)
    model.requires_grad_(False)
    install_answer_layer(model)
    if placement.liger:
        apply_liger(model)
    return model.eval()
