"""Every command: its panel in `--help`, its line there, and the module imported when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer

from movielora.commands.parameters import expand_paths

CONTEXT = {"help_option_names": ["-h", "--help"]}

# name → (panel, one line of help, module below `movielora.commands`); in the order of the work. A test compares each
# line with the command's own docstring.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("Start here", "Run every step on synthetic ratings, in three minutes, without a GPU.", "demo"),
    "prepare": ("Data", "Turn ratings into training, evaluation and test examples.", "data.prepare"),
    "audit": ("Data", "Measure how long the examples are before you train.", "data.audit"),
    "config": (
        "Training",
        "Show the resolved config, explain a key, or print the JSON Schema for editors.",
        "training.config",
    ),
    "train": ("Training", "Train a LoRA adapter, evaluate it during training, and keep the best.", "training.train"),
    "resume": (
        "Training",
        "Continue a run from its newest complete checkpoint; needs no config.",
        "training.resume",
    ),
    "status": ("Runs", "Show what a run is doing now, or how it ended.", "training.status"),
    "logs": ("Runs", "Show the log of a run, or follow it until the run ends.", "training.logs"),
    "stop": ("Runs", "Ask a run to save a checkpoint and end, and wait for it.", "training.stop"),
    "runs": ("Runs", "List the runs under output/, the newest first.", "training.runs"),
    "board": ("Runs", "Show runs' curves in TensorBoard, on this machine only, until Ctrl-C.", "training.board"),
    "doctor": (
        "Machine",
        "Check whether this machine is ready, and show how to fix it.",
        "machine.doctor",
    ),
    "fit": (
        "Machine",
        "Estimate the memory a training needs, what to set so that it fits, and what it costs.",
        "machine.fit",
    ),
    "compare": ("Results", "Score base and adapter on the same rows, with simple baselines.", "results.compare"),
    "analyze": ("Results", "Show the rows that the adapter fixed, and those that it broke.", "results.analyze"),
    "report": (
        "Results",
        "Build the page of a comparison, one file that works offline, and open it.",
        "results.report",
    ),
    "merge": (
        "Results",
        "Add the adapter to 16-bit weights, and check that the answers stay the same.",
        "results.merge",
    ),
}


def load_command(name: str) -> Any:
    """The Typer command `name`: a single one, or a group if its module has sub-commands."""
    command = typer.main.get_command(import_module(f"movielora.commands.{COMMANDS[name][2]}").app)
    command.name = name
    command.context_settings = {**CONTEXT, **command.context_settings}
    expand_paths(command)
    return command
