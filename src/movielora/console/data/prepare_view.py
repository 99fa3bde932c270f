"""The view of `prepare`: the splits it wrote, and notes on the data."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape

from movielora.console.output import plain_table, stdout

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
    stdout().print(f"\nIn a config: [bold]dataset: {escape(prepared.dataset)}[/]", soft_wrap=True)
    stdout().print(f"Next: {_next_command(prepared.dataset)}", markup=False, soft_wrap=True)


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


def _next_command(dataset: str) -> str:
    command = "movielora audit --config configs/qwen3_movielens_qlora.yaml"
    # that config names the dataset of the README; another needs to be said
    return command if dataset == "movielens_qwen3_train" else f"{command} --set dataset={shlex.quote(dataset)}"


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
