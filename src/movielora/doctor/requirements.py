"""What a config asks of the machine; without a config, nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from movielora.config import ResolvedConfig


@dataclass(frozen=True)
class Requirements:
    """`gpu`, `flash`, `liger`, `four_bit`: the key that asks for it, as written, or empty. `config` is for messages."""

    config: str = ""
    gpu: str = ""
    flash: str = ""
    liger: str = ""
    four_bit: str = ""
    bf16: str = ""
    model: str = ""
    model_at: Path = Path()
    output_dir: Path = Path()
    tensorboard: bool = True


def read_requirements(resolved: ResolvedConfig | None) -> Requirements:
    if resolved is None:
        return Requirements()
    values = resolved.values
    flash = "flash_attn: flash_attention_2" if values.flash_attn == "flash_attention_2" else ""
    liger = "enable_liger_kernel: true" if values.enable_liger_kernel is True else ""
    return Requirements(
        config=str(resolved.path or "the config"),
        gpu=flash or liger or ("fp16: true" if values.fp16 else ""),
        flash=flash,
        liger=liger,
        four_bit="use_qlora: true" if values.use_qlora else "",
        bf16="bf16: true" if values.bf16 else "",
        model=values.model_name_or_path,
        model_at=resolved.locate(values.model_name_or_path),
        output_dir=resolved.place(values.output_dir),
        tensorboard="tensorboard" in values.report_to,
    )
