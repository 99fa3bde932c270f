"""What `movielora demo` prints between its steps."""

from __future__ import annotations

from rich.markup import escape

from movielora.console import output


def show_step(name: str, why: str, command: str) -> None:
    """Print a step's name, what it does, and the command that does it. On stderr: it is not a result."""
    console = output.stderr()
    console.print(f"\n[bold cyan]■ {escape(name)}[/]  {escape(why)}", soft_wrap=True)
    if command:
        console.print(f"  $ {escape(command)}", style="dim", soft_wrap=True)


def show_end() -> None:
    console = output.stdout()
    console.print(
        "\n[bold]That was every step.[/] With real ratings and Qwen3-0.6B on a GPU the commands are the same:"
    )
    for line in (
        "movielora prepare --download ml-latest-small --output-dir data/movielens_qwen3",
        "movielora train --config configs/qwen3_movielens_qlora.yaml",
        "movielora compare --config configs/qwen3_movielens_qlora.yaml",
    ):
        console.print(f"  {line}", soft_wrap=True)
