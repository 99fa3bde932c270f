"""Import a command when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer

CONTEXT = {"help_option_names": ["-h", "--help"]}


def load_command(name: str) -> Any:
    """The Typer command of `movielora.commands.<name>`: a single one, or a group where the module has sub-commands."""
    command = typer.main.get_command(import_module(f"movielora.commands.{name}").app)
    command.name = name
    command.context_settings = {**CONTEXT, **command.context_settings}
    return command
