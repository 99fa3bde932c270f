"""`movielora doctor`, `doctor wheel` and `doctor --explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movielora.console.machine import doctor_view
from movielora.console.output import emit_json
from movielora.console.reporting import reporter
from movielora.doctor.examine import examine
from movielora.doctor.failures import read_errors, read_given
from movielora.doctor.wheel import Description, ask_server, choose_and_check, describe_machine
from movielora.runs.lookup.run_config import read_config

app = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Text = Annotated[str | None, typer.Option(show_default="this machine's")]


@app.callback(epilog="Example: movielora doctor --config configs/qwen3_movielens_qlora.yaml --verbose")
def doctor(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Check what this config asks for.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this check; repeatable.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every check, not only warnings and failures.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on a warning too.")] = False,
    errors: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="TEXT|FILE|RUN|-",
            help="Explain an error message, or those in a log file or in a run's log; - is stdin.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check whether this machine is ready, and show how to fix it."""
    if context.invoked_subcommand:
        return
    if errors is not None:
        found = read_errors(read_given(errors))
        emit_json(found.as_json()) if json else doctor_view.show_explanations(found)
        return
    diagnosis = examine(read_config(config) if config else None, only or (), reporter())
    emit_json(diagnosis.as_json()) if json else doctor_view.show_diagnosis(diagnosis, verbose=verbose or bool(only))
    if diagnosis.failed(strict=strict):
        raise typer.Exit(1)


@app.command(epilog="Example: movielora doctor wheel --python 3.11 --torch 2.5.1 --cuda 12.4 --glibc 2.31 --check")
def wheel(
    python: Text = None,
    torch: Text = None,
    cuda: Text = None,
    abi: Text = None,
    machine: Text = None,
    glibc: Text = None,
    capability: Text = None,
    check: Annotated[bool, typer.Option("--check", help="Ask the server whether the file exists.")] = False,
    base_url: Annotated[str, typer.Option(help="A mirror of the release downloads.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Name the newest flash-attn wheel that fits this machine, or the one described."""
    described = describe_machine(Description(python, torch, cuda, abi, machine, glibc, capability))
    choice, checked = choose_and_check(described, base_url, ask_server if check else None)
    emit_json(choice.as_json(checked)) if json else doctor_view.show_wheel(choice, checked)
