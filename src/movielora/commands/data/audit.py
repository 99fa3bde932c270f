"""`movielora audit`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from movielora.commands.parameters import Overrides
from movielora.console import output, reporting
from movielora.errors import ConfigError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class SplitOption(StrEnum):
    TRAIN = "train"
    EVAL = "eval"
    TEST = "test"


@app.command(epilog="Example: movielora audit --config configs/qwen3_movielens_qlora.yaml --max-samples 5000")
def audit(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML file of the training.")],
    overrides: Overrides = [],  # noqa: B006
    split: Annotated[SplitOption, typer.Option(help="Which split to measure.")] = SplitOption.TRAIN,
    max_samples: Annotated[
        int | None, typer.Option(min=1, help="Measure a seeded sample of N examples.", show_default="all")
    ] = None,
    char_only: Annotated[bool, typer.Option("--char-only", help="Count characters; load no tokenizer.")] = False,
    cutoff_len: Annotated[
        int | None, typer.Option(min=16, help="Report on this cutoff, in tokens.", show_default="the config's")
    ] = None,
    percentiles: Annotated[str, typer.Option(help="Percentiles to print, separated by commas.")] = "50,90,95,99,100",
    show_examples: Annotated[
        int, typer.Option(min=0, help="Print N examples step by step, from text to token ids.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Measure how long the examples are before you train."""
    from movielora.console.data.audit_view import show_audit
    from movielora.runs.lookup.run_config import read_config
    from movielora.training.audit import AuditRequest
    from movielora.training.audit import audit as run_audit

    request = AuditRequest(
        read_config(config, overrides),
        split.value,
        max_samples,
        char_only,
        cutoff_len,
        _numbers(percentiles),
        show_examples,
    )
    found = run_audit(request, reporting.reporter())
    output.emit_json(found.to_json()) if as_json else show_audit(found)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--percentiles {text}: separate numbers with commas, such as 50,90,95,99,100") from None
