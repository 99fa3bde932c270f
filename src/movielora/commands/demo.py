"""`movielora demo`: the other commands, one after another, on synthetic ratings."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from movielora.commands.table import load_command
from movielora.console import output, reporting
from movielora.console.demo_view import show_end, show_step
from movielora.errors import RequestError, shell_command

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RATINGS, _DATASET, _RUN = "data/synthetic-ratings", "data/synthetic", "output/demo"


@app.command(epilog="Example: movielora demo")
def demo(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run every step on synthetic ratings, in three minutes, without a GPU."""
    from movielora.sources.synthetic import write_synthetic_movielens

    config = _config_file()
    reporter = reporting.reporter()
    show_step("make ratings", f"synthetic users with tastes, and films for them: {_RATINGS}", "")
    with reporter.phase("Making synthetic ratings"):
        write_synthetic_movielens(Path(_RATINGS))
    results: dict[str, Any] = {}
    for why, arguments in _steps(config):
        show_step(arguments[0], why, shell_command("movielora", *arguments))
        results[arguments[0]] = _run(arguments, quiet=as_json)
    if as_json:
        output.emit_json(results)
    else:
        show_end()


def _steps(config: str) -> list[tuple[str, list[str]]]:
    run = ["--set", f"output_dir={_RUN}"]
    return [
        (
            "each rating becomes a question with a known answer",
            ["prepare", "--source", _RATINGS, "--output-dir", _DATASET, "--history-len", "8", "--overwrite"],
        ),
        ("how many tokens an example takes, before training", ["audit", "--config", config]),
        (
            "LoRA on the embedded base; the best adapter is kept and read back from disk",
            ["train", "--config", config, *run, "--overwrite"],
        ),
        (
            "base, adapter and simple baselines on the same test rows",
            ["compare", "--config", config, *run, "--overwrite"],
        ),
        (
            "which answers the adapter fixed, and which it broke",
            ["analyze", f"{_RUN}/comparison", "--show-examples", "2"],
        ),
    ]


def _run(arguments: list[str], *, quiet: bool) -> Any:
    """Run one command as the user would; with `quiet`, keep its JSON instead of its output."""
    command = load_command(arguments[0])
    if not quiet:
        command.main(arguments[1:], prog_name=f"movielora {arguments[0]}", standalone_mode=False)
        return None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command.main([*arguments[1:], "--json"], prog_name=f"movielora {arguments[0]}", standalone_mode=False)
    return json.loads(printed.getvalue())


def _config_file() -> str:
    """`configs/tiny_cpu.yaml` of the working directory, or of the clone that movielora is installed from."""
    from movielora.config.ready_made import ready_made_config

    path = ready_made_config("tiny_cpu.yaml")
    if not Path(path).is_file():
        raise RequestError("configs/tiny_cpu.yaml is not here", "run movielora demo in a clone of the repository")
    return path
