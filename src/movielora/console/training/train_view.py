"""The views of `movielora train`: the plan of a dry run, and the result of a training."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from movielora.console import output
from movielora.console.outlook_view import show_outlook
from movielora.console.reporting import format_duration
from movielora.console.training.config_view import values_table
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


def show_result(result: TrainResult) -> None:
    console = output.stdout()
    console.print()
    console.print(f"[bold]Trained[/] {result.global_step:,} steps in {format_duration(result.seconds)}")
    if result.metrics:
        table = output.plain_table("saved adapter, read back from disk", "")
        for name, value in result.metrics.items():
            table.add_row(name, f"{value:.4f}")
        console.print(table)
    if result.best_checkpoint:
        console.print(f"best       {escape(result.best_checkpoint.name)}")
    folder = _near(result.run_dir)
    config = folder / "config.yaml"
    console.print(f"adapter    {escape(str(folder))}", soft_wrap=True)
    console.print(f"next       movielora compare --config {escape(str(config))}", style="dim", soft_wrap=True)


def _near(path: Path) -> Path:
    """Return the path as the user would type it from the working directory."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
