"""`movielora fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movielora.commands.parameters import Overrides
from movielora.console import output, reporting
from movielora.console.machine import fit_view
from movielora.doctor.fit import fit_config
from movielora.runs.lookup.run_config import read_config

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: movielora fit --config configs/qwen3_movielens_qlora.yaml --memory 24GiB")
def fit(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML file of the training.")],
    overrides: Overrides = [],  # noqa: B006
    memory: Annotated[str | None, typer.Option(help="Plan for a GPU with this much memory, such as 24GiB.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Estimate the memory a training needs, what to set so that it fits, and what it costs."""
    found = fit_config(read_config(config, overrides), memory, reporting.reporter())
    output.emit_json(found.as_json()) if as_json else fit_view.show_fit(found)
