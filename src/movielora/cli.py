"""The app: lists every command and imports one only when it runs.

`movielora --help` must answer at once on a laptop and over SSH, so it reads the table of commands and nothing else.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from movielora import __version__
from movielora.commands.table import COMMANDS, CONTEXT, load_command
from movielora.commands.usage import TyperUsageError, unknown_command, usage_error
from movielora.errors import MovieloraError, ReaderGoneError, RequestError, WorkError, first_line

# How Typer ends a command after Ctrl-C.
_INTERRUPTED = 130


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
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown_command(args[0])
        name, stub, rest = super().resolve_command(ctx, args)
        return name, (load_command(name) if name in COMMANDS else stub), rest


app = typer.Typer(
    cls=LazyGroup,
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

    Typer handles the rest: Ctrl-C exits with 130, a broken pipe with 1. A pipe that breaks under Typer's own help text
    (`movielora --help | head`) is not a failure.
    """
    from movielora.console.encoding import accept_every_character
    from movielora.machine.process_settings import forget_blank_folders

    accept_every_character()
    forget_blank_folders()
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _run(words)
        if code == _INTERRUPTED and "--json" in words:
            _show_interrupted()
        sys.exit(code)
    except ReaderGoneError as gone:
        sys.exit(gone.exit_code)
    except MovieloraError as error:
        sys.exit(_failed(error, words))
    except SystemExit as leaving:
        sys.exit(0 if isinstance(leaving.__context__, BrokenPipeError) else leaving.code)


def _run(words: Sequence[str]) -> Any:
    """The exit code of a command line. Raises RequestError for one that Typer cannot read."""
    try:
        code = app(args=words or ["--help"], prog_name="movielora", standalone_mode=False)
    except TyperUsageError as error:
        raise usage_error(error, words) from None
    except (OSError, UnicodeError) as error:
        explained = _explained(error, words)
        if explained is None:
            raise
        raise explained from error
    if not words:
        return 2
    return code if isinstance(code, int) else 0


def _explained(error: OSError | UnicodeError, words: Sequence[str]) -> RequestError | None:
    """What the user can do about an error of the shell's settings or start-up files; None for any other."""
    if "--install-completion" in words:
        return RequestError(
            f"completion cannot be installed: {first_line(error)}",
            "movielora --show-completion prints the lines to add to your shell's start-up file",
        )
    encoding = sys.getfilesystemencoding()
    if isinstance(error, UnicodeEncodeError) and error.encoding == encoding and not encoding.startswith("utf"):
        return RequestError(
            f"the language settings of this shell ({encoding}) have no form for a file name with "
            f"{error.object[error.start : error.end]}",
            "set PYTHONUTF8=1 and give the command again",
        )
    return None


def _show_interrupted() -> None:
    """After Ctrl-C there is nothing to say to a person; a program that waits for an object gets one."""
    from movielora.console.output import emit_json

    with suppress(ReaderGoneError):
        said: dict[str, Any] = {"message": "interrupted by Ctrl-C", "next": None, "problems": []}
        emit_json({"error": {**said, "exit_code": _INTERRUPTED}})


def _failed(error: MovieloraError, words: Sequence[str]) -> int:
    from movielora.console.output import show_error

    with suppress(ReaderGoneError):  # the exit code still says that it failed
        show_error(error, as_json="--json" in words)
    return error.exit_code
