"""The view of `prepare`: the splits it wrote, and notes on the data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape

from movielora.config import Config
from movielora.config.ready_made import ready_made_config
from movielora.console.output import plain_table, stdout
from movielora.errors import shell_command

if TYPE_CHECKING:
    from movielora.preparation.prepare import Prepared

_JSON_KEYS = (
    "counts",
    "positive_rate",
    "users",
    "users_dropped",
    "movies",
    "ratings_repeated_dropped",
    "split",
    "history_len",
    "rating_threshold",
)


def prepared_json(prepared: Prepared) -> dict[str, Any]:
    """What `--json` prints."""
    facts = {key: prepared.meta.get(key) for key in _JSON_KEYS}
    return {"output_dir": str(prepared.output_dir), **facts, "nothing_to_do": prepared.nothing_to_do}


def show_prepared(prepared: Prepared) -> None:
    """Print the splits, notes, the dataset's name and the next command; or that there was nothing to do."""
    if prepared.nothing_to_do:
        text = f"Nothing to do: {prepared.output_dir} holds the dataset of these ratings and settings already."
        stdout().print(text, markup=False, soft_wrap=True)
    else:
        _show_dataset(prepared)
    folder = _dataset_dir(prepared.output_dir)
    where = f" and [bold]dataset_dir: {escape(folder)}[/]" if folder else ""
    stdout().print(f"\nIn a config: [bold]dataset: {escape(prepared.dataset)}[/]{where}", soft_wrap=True)
    stdout().print(f"Next: {_next_command(prepared.dataset, folder)}", markup=False, soft_wrap=True)


def _show_dataset(prepared: Prepared) -> None:
    meta = prepared.meta
    table = plain_table("split", "examples", "Yes")
    for name, count in meta["counts"].items():
        table.add_row(name, f"{count:,}", f"{meta['positive_rate'][name]:.1%}")
    notes = plain_table("", "")
    notes.show_header = False
    notes.columns[1].justify, notes.columns[1].no_wrap = "left", False
    for sentence in _sentences(meta):
        notes.add_row("·", sentence)
    console = stdout()
    console.print(f"\n[bold]{escape(str(prepared.output_dir))}[/]", soft_wrap=True)
    console.print(Group(table, ""))
    console.print(notes, style="dim")


def _dataset_dir(output_dir: Path) -> str:
    """What a config calls the folder that the dataset is in; empty if that is the default."""
    parent = os.path.dirname(os.path.abspath(output_dir))  # noqa: PTH100, PTH120 - `..` is taken out, links are not
    return "" if parent == os.path.abspath(Config().dataset_dir) else os.path.relpath(parent)  # noqa: PTH100


def _next_command(dataset: str, folder: str) -> str:
    # The README's config names the README's dataset; another needs to be said.
    config = ready_made_config("qwen3_movielens_qlora.yaml")
    named = [] if dataset == "movielens_qwen3_train" else ["--set", f"dataset={dataset}"]
    named += ["--set", f"dataset_dir={folder}"] if folder else []
    return shell_command("movielora", "audit", "--config", config, *named)


def _sentences(meta: dict[str, Any]) -> list[str]:
    lines = [
        f"{_count(meta['users'], 'user')} gave examples; {meta['users_dropped']:,} with "
        f"{meta['history_len']} or fewer ratings were left out.",
        f"{_count(meta['movies'], 'film')} and {_count(meta['ratings'], 'rating')}; Yes is "
        f"{meta['rating_threshold']:g} stars or more.",
    ]
    if meta["movies_untitled"]:
        lines.append(
            f"{_count(meta['movies_untitled'], 'film')} without a title, named by their ids, in "
            f"{_count(meta['ratings_untitled'], 'rating')}."
        )
    if repeated := meta["ratings_repeated_dropped"]:
        lines.append(f"{_count(repeated, 'rating')} dropped: the user rated the same film again, and the last counts.")
    not_asked = meta["ratings_not_asked"]
    lines += [
        f"{_count(not_asked[key], 'example')} left out by --{key.removeprefix('over_').replace('_', '-')}."
        for key in ("over_max_per_user", "over_max_eval")
        if not_asked[key]
    ]
    lines.append(
        f"{meta['tie_rate']:.1%} of ratings have the same timestamp as another of the same user; those are in "
        "the order of the films' ids."
    )
    lines.append(_leak(meta))
    if meta["export"] == "none":
        lines.append("No JSON files for other tools (--export json writes them); movielora reads the columns.")
    return lines


def _leak(meta: dict[str, Any]) -> str:
    if not meta["cross_user_time_leak"]:
        return "No training example is later than a test row."
    return (
        f"{meta['cross_user_time_leak']:.1%} of test rows have later training examples by other users, on average "
        f"{meta['later_train_share']:.1%} of all; --split global-time has none."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
