"""Every command: its panel in `--help`, its line there, and the module that is imported when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer

CONTEXT = {"help_option_names": ["-h", "--help"]}

# name → (panel, one line of help, module below `movielora.commands`); the order is that of the work. A test compares
# each line with its command's own.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("Start here", "Walk the whole road on invented ratings, in three minutes, without a GPU.", "demo"),
    "prepare": ("Data", "Turn MovieLens ratings into training, evaluation and test examples.", "data.prepare"),
    "audit": ("Data", "Measure how long the examples are before you train.", "data.audit"),
    "config": (
        "Training",
        "Show the resolved config, or the JSON Schema that editors complete with.",
        "training.config",
    ),
    "train": ("Training", "Train a LoRA adapter, evaluate it as it grows, and keep the best.", "training.train"),
    "resume": (
        "Training",
        "Continue a run from its newest complete checkpoint, from its record alone.",
        "training.resume",
    ),
    "status": ("Runs", "See what a run is doing now, or how it ended.", "training.status"),
    "logs": ("Runs", "Read what a run has written, or follow it as it writes.", "training.logs"),
    "stop": ("Runs", "Ask a run to save and end, and wait until it has.", "training.stop"),
    "runs": ("Runs", "List the runs under output/, the newest first.", "training.runs"),
    "board": ("Runs", "Show runs' curves in TensorBoard, on this machine only, until Ctrl-C.", "training.board"),
    "merge": ("Results", "Fold the adapter into 16-bit weights, and prove that the answers stay.", "results.merge"),
    "doctor": (
        "Machine",
        "See whether this machine is ready, and the command that mends it where not.",
        "machine.doctor",
    ),
    "fit": ("Machine", "Estimate the memory a training needs, and what to set so that it fits.", "machine.fit"),
    "compare": ("Results", "Score base and adapter on the same rows, beside simple baselines.", "results.compare"),
    "analyze": ("Results", "Read where the adapter fixed the base, and where it broke it.", "results.analyze"),
    "report": (
        "Results",
        "Build the page of a comparison, one file that works offline, and open it.",
        "results.report",
    ),
}


def load_command(name: str) -> Any:
    """The Typer command `name`: a single one, or a group if its module has sub-commands."""
    command = typer.main.get_command(import_module(f"movielora.commands.{COMMANDS[name][2]}").app)
    command.name = name
    command.context_settings = {**CONTEXT, **command.context_settings}
    return command
