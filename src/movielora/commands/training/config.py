"""`movielora config`: the resolved values, one key, or the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movielora.commands.completion import complete_key
from movielora.commands.parameters import Overrides
from movielora.console import output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    name="config",
    epilog="Example: movielora config --config configs/tiny_cpu.yaml --set learning_rate=1e-3",
)
def show_config(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The YAML file.", show_default="only the defaults")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of every key.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", autocompletion=complete_key, help="Explain one key, also by the name it has elsewhere."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show the resolved config, explain a key, or print the JSON Schema for editors."""
    from movielora.config import Config, resolve_config
    from movielora.console.training.config_view import show_explanation, show_resolved

    if explain is not None:
        from movielora.config.explain import explain_key

        found = explain_key(explain)
        output.emit_json(found.to_json()) if as_json else show_explanation(found)
        return
    if schema:
        output.emit_json(Config.model_json_schema(), indent=None if as_json else 2)
        return
    resolved = resolve_config(config, overrides)
    output.emit_json(resolved.to_json()) if as_json else show_resolved(resolved)
