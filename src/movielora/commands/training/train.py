"""`movielora train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from movielora.commands.parameters import Overrides
from movielora.console import output, reporting
from movielora.errors import ConfigError
from movielora.runs.run_guard import StartMode

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _checked_name(name: str | None) -> str | None:
    from movielora.runs.record import check_name

    return None if name is None else check_name(name)


@app.command(
    epilog="Example: movielora train --config configs/tiny_cpu.yaml --set num_train_epochs=2",
)
def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML file of the training.")],
    overrides: Overrides = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest complete checkpoint.")] = False,
    resume_from_checkpoint: Annotated[Path | None, typer.Option(help="Continue from this checkpoint folder.")] = None,
    extra_epochs: Annotated[float, typer.Option(min=0, help="With --resume: epochs beyond those of the config.")] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is in output_dir.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background; this shell may be closed.")] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", show_default="config and time", callback=_checked_name)
    ] = None,
    clear_cache: Annotated[bool, typer.Option("--clear-cache", help="Ignore cached token ids.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Train a LoRA adapter, evaluate it during training, and keep the best."""
    from movielora.config import resolve_config
    from movielora.console.training.detach_view import show_detached
    from movielora.console.training.train_view import show_plan, show_training
    from movielora.runs.detach import child_argv, start_detached
    from movielora.training.plan import plan_training
    from movielora.training.train import TrainRequest, train_run

    resolved = resolve_config(config, overrides)
    reporter = reporting.reporter()
    mode = _mode(resume=resume or resume_from_checkpoint is not None, overwrite=overwrite, extra_epochs=extra_epochs)
    if dry_run:
        plan = plan_training(resolved, reporter, mode=mode)
        if not (plan.problem and as_json):  # with --json the problem is the one object
            output.emit_json(plan.to_json()) if as_json else show_plan(plan)
        if plan.problem:
            raise plan.problem
        return
    if detach:
        started = start_detached(child_argv(), Path(resolved.values.output_dir), reporter, mode=mode, name=name)
        output.emit_json(started.to_json()) if as_json else show_detached(started)
        return
    request = TrainRequest(
        resolved,
        mode=mode,
        name=name,
        checkpoint=resume_from_checkpoint,
        extra_epochs=extra_epochs,
        clear_cache=clear_cache,
    )
    show_training(lambda shown, log: train_run(replace(request, log=log), shown), as_json=as_json)


def _mode(*, resume: bool, overwrite: bool, extra_epochs: float) -> StartMode:
    if resume and overwrite:
        raise ConfigError("--resume continues a run and --overwrite replaces it", "give one of them")
    if extra_epochs and not resume:
        raise ConfigError("--extra-epochs continues a run that has ended", "give --resume too")
    return "overwrite" if overwrite else "resume" if resume else "new"
