"""The view of `movielora merge`."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from movielora.console.output import stdout
from movielora.console.training.status_view import format_bytes
from movielora.errors import shell_command
from movielora.model.tiny import is_embedded
from movielora.publishing.merge import Merged


def show_merged(merged: Merged) -> None:
    console = stdout()
    size = format_bytes(merged.bytes)
    console.print(Text(f"{merged.output_dir}: {size} on disk in bf16, adapter included", "bold"), soft_wrap=True)
    if merged.change:
        console.print(Text(f"Before and after, {merged.change.sentence()}."))
    console.print(Text("It loads with plain transformers, and as model_name_or_path.", "dim"))
    if is_embedded(merged.base):
        console.print(Text("The embedded base has a tokenizer of its own: vLLM and llama.cpp are for a Qwen3.", "dim"))
        return
    for program, command in _next_commands(merged.output_dir):
        console.print(Text(f"{program}  {command}"), soft_wrap=True)


def _next_commands(folder: Path) -> list[tuple[str, str]]:
    gguf = folder.with_name(f"{folder.name}-bf16.gguf")
    convert = shell_command("python", "convert_hf_to_gguf.py", folder, "--outfile", gguf, "--outtype", "bf16")
    return [
        ("next, with vLLM              ", shell_command("vllm", "serve", folder)),
        ("or in a clone of llama.cpp   ", convert),
    ]
