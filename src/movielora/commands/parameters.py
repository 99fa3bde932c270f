"""What holds for the parameters of every command, so that no command file repeats it: paths, and completion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from movielora.commands.completion import complete_override
from movielora.errors import ConfigError

YAML_ENDINGS = (".yaml", ".yml")
# What commands call a parameter that is a run's name or folder.
_RUNS = ("run", "runs")

Overrides = Annotated[
    list[str],
    typer.Option("--set", help="Override a key: key=value; repeatable.", autocompletion=complete_override),
]


def expand_paths(command: Any) -> None:
    """Let every path that `command` takes, or one of its sub-commands, be written with `~` and variables."""
    names = _path_names(command)
    for parameter in command.params:
        if parameter.name in names:
            # Before Typer makes a Path of it: `Path("")` is `.`, and an empty text means no folder at all.
            parameter.process_value = _expanding(parameter, parameter.process_value)
    for inner in getattr(command, "commands", {}).values():
        expand_paths(inner)


def _path_names(command: Any) -> set[str]:
    """The parameters that are paths, and those that are a run's name or its folder: a name holds no `~` and no `$`."""
    if command.callback is None:
        return set()
    hints = get_type_hints(inspect.unwrap(command.callback))
    return {name for name, hint in hints.items() if Path in _types(hint) or name in _RUNS}


def _types(hint: Any) -> Iterator[Any]:
    """`list[Path] | None` → its parts, and theirs."""
    yield hint
    for part in get_args(hint):
        yield from _types(part)


def _expanding(parameter: Any, process: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """How a parameter reads what the shell gave it, after what its paths mean has been found.

    Raises ConfigError, and typer.BadParameter.
    """

    def expanding(context: Any, value: Any) -> Any:
        if not context.resilient_parsing:  # a shell that completes wants no errors
            value = _expanded(parameter, value)
            if parameter.param_type_name == "argument":
                _refuse_config(context, value)
        return process(context, value)

    return expanding


def _expanded(parameter: Any, value: Any) -> Any:
    from movielora.config.paths import expand_argument  # the room of config loads pydantic's models

    if isinstance(value, list | tuple):
        return [_expanded(parameter, item) for item in value]
    if not isinstance(value, str):
        return value
    option = parameter.opts[0] + " " if parameter.opts[0].startswith("-") else ""
    try:
        path = expand_argument(value)
    except ConfigError as error:
        raise ConfigError(f"{option}{value}: {error}", error.next_step) from None
    if not path.strip() and parameter.name not in _RUNS:  # an empty name of a run has a sentence of its own
        raise ConfigError(f"{option}is empty, and a path is wanted", "write one; . is the folder that you are in")
    return path


def _refuse_config(context: Any, value: Any) -> None:
    """Raise typer.BadParameter for a YAML file or `key=value` given as an argument, if there is `--config` or `--set`.

    `usage.py` knows the whole command line and what it should be.
    """
    taken = {parameter.name for parameter in context.command.params}
    for word in value if isinstance(value, list | tuple) else [value]:
        if "config" in taken and str(word).endswith(YAML_ENDINGS):
            raise typer.BadParameter(f"the config {word} must follow --config", context)
        if "overrides" in taken and "=" in str(word) and "/" not in str(word):  # no run has such a name
            raise typer.BadParameter(f"{word} is no run; keys of the config are given with --set", context)
