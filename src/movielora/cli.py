"""The app: lists every command and imports one only when it runs.

`movielora --help` must answer at once on a laptop and over SSH, so it reads the table of commands and nothing else.
"""

from __future__ import annotations

import select
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from movielora import __version__
from movielora.commands.table import COMMANDS, CONTEXT, load_command
from movielora.errors import MovieloraError, ReaderGoneError, WorkError


class LazyGroup(TyperGroup):
    """A group whose commands are listed at once and imported when chosen."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        panel, line, _ = COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=line, rich_help_panel=panel)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if _reader_has_gone():  # of help text, which Typer writes
                raise
            raise WorkError("a program that movielora wrote to has ended") from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.commands = {name: self.get_command(ctx, name) for name in COMMANDS}  # what a typo is compared with
        name, stub, rest = super().resolve_command(ctx, args)
        return name, (load_command(name) if name in COMMANDS else stub), rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"movielora {__version__}")
        raise typer.Exit


@app.callback(epilog="First time? Run: movielora demo")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Fine-tune Qwen3 to answer "will this user like this film?", and measure whether it is any good."""


def _reader_has_gone() -> bool:
    """Whether standard output is a pipe that nobody reads."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are always reported
    return bool(poll.poll(0))


def main(argv: list[str] | None = None) -> None:
    """Run the program and exit with the code of `errors.py`.

    Typer handles the rest: a mistyped word exits with 2, Ctrl-C with 130, a broken pipe with 1. A pipe that breaks
    under Typer's own help text (`movielora --help | head`) is not a failure.
    """
    try:
        app(args=argv, prog_name="movielora")
    except ReaderGoneError as gone:
        sys.exit(gone.exit_code)
    except MovieloraError as error:
        from movielora.console.output import show_error

        show_error(error)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        sys.exit(0 if isinstance(leaving.__context__, BrokenPipeError) else leaving.code)
