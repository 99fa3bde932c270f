"""The view of `movielora merge`."""

from __future__ import annotations

from rich.text import Text

from movielora.console.output import stdout
from movielora.publishing.merge import Merged


def show_merged(merged: Merged) -> None:
    console = stdout()
    console.print(Text(f"{merged.output_dir}: {merged.bytes / 1e9:.2f} GB in bf16, adapter included", "bold"))
    if merged.change:
        console.print(Text(f"Before and after, {merged.change.sentence()}."))
    console.print(Text("It loads with plain transformers, and as model_name_or_path.", "dim"))
