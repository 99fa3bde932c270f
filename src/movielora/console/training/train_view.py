"""The views of `movielora train`: the plan of a dry run, and the result of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from movielora.console import output
from movielora.console.outlook_view import show_outlook
from movielora.console.reporting import LoggedReporter, format_duration, reporter
from movielora.console.training.config_view import values_table
from movielora.errors import MovieloraError, shell_command
from movielora.progress import Reporter
from movielora.runs.log_file import RunLog
from movielora.runs.metric_names import LOSSES_EXPLAINED
from movielora.training.plan import TrainingPlan
from movielora.training.result import TrainResult


def show_plan(plan: TrainingPlan) -> None:
    """Print the plan first: the data, the steps, what it costs; then every key with its value and origin."""
    console = output.stdout()
    console.print(f"train on   {escape(str(plan.files.train))}: {plan.examples:,} examples", soft_wrap=True)
    if plan.files.evaluation:
        console.print(f"evaluate   {escape(str(plan.files.evaluation))}", soft_wrap=True)
    rows = f"{plan.micro_batch} at once × {plan.effective_batch_size // plan.micro_batch}"
    console.print(f"steps      {plan.steps:,} of {plan.effective_batch_size} examples, {rows}")
    show_outlook(plan.outlook)
    for note in plan.notes:
        console.print(escape(note), style="dim")
    console.print()
    console.print(values_table(plan.values))
    console.print()
    console.print("Nothing was written.", style="dim")


def show_training(train: Callable[[Reporter, RunLog], TrainResult], *, as_json: bool) -> None:
    """Call `train` with a reporter and the log it writes, and show its result; the log gets what a terminal shows."""
    with RunLog() as log:
        try:
            result = train(LoggedReporter(reporter(), log), log)
        except MovieloraError as error:
            output.show_error(error, console=output.on_stream(log))
            raise
        show_result(result, output.on_stream(log))
    output.emit_json(result.to_json()) if as_json else show_result(result, output.stdout())


def show_result(result: TrainResult, console: Console) -> None:
    console.print()
    console.print(f"[bold]Trained[/] {result.global_step:,} steps in {format_duration(result.seconds)}")
    if result.reason:
        console.print(escape(result.reason), soft_wrap=True)
    if result.metrics:
        table = output.plain_table("saved adapter, read back from disk", "")
        for name, value in result.metrics.items():
            table.add_row(name, f"{value:.4f}")
        console.print(table)
        if {"eval_loss", "eval_log_loss"} <= result.metrics.keys():
            console.print(LOSSES_EXPLAINED, style="dim")
    if result.best_checkpoint:
        console.print(f"best       {escape(result.best_checkpoint.name)}")
    folder = _near(result.run_dir)
    config = folder / "config.yaml"
    console.print(f"adapter    {escape(str(folder))}", soft_wrap=True)
    command = shell_command("movielora", "compare", "--config", config)
    console.print(f"next       {escape(command)}", style="dim", soft_wrap=True)


def _near(path: Path) -> Path:
    """Return the path as the user would type it from the working directory."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
