"""The page of `movielora analyze`: the selection's buckets, its slices, and rows to read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from movielora.console.output import plain_table, stdout
from movielora.console.results.compare_view import figure, short_title, show_slices, signed

_BUCKETS = {
    "broken": ("Broken", "red", "the base was right, the adapter is wrong"),
    "fixed": ("Fixed", "green", "the base was wrong, the adapter is right"),
    "both_wrong": ("Both wrong", "yellow", ""),
    "both_right": ("Both right", "dim", ""),
}
# A title longer than this is cut: one film a line.
_TITLE_WIDTH = 64
_HISTORY_SHOWN = 5


def show_analysis(analysis: dict[str, Any], *, filtered: bool) -> None:
    console = stdout()
    console.print()
    console.print(f"[bold]{escape(analysis['verdict'])}[/]")
    console.print()
    _show_buckets(console, analysis)
    if not filtered:
        show_slices(console, analysis["slices"], analysis)
    for example in analysis["examples"]:
        _show_example(console, example)
    console.print()
    if not analysis["matched"]:
        console.print("No row fits these filters.")
    if analysis["export"]:
        console.print(f"exported   {escape(analysis['export'])}", soft_wrap=True)
    console.print(f"page       {escape(analysis['report'])}", soft_wrap=True)


def _show_buckets(console: Console, analysis: dict[str, Any]) -> None:
    matched = analysis["matched"]
    table = plain_table(f"{matched:,} of {analysis['samples']:,} rows", "rows", "share", "")
    table.columns[3].justify = "left"
    for key, (name, colour, meaning) in _BUCKETS.items():
        count = analysis["buckets"][key]
        share = f"{count / matched:.1%}" if matched else "–"
        table.add_row(f"[{colour}]{name}[/]", f"{count:,}", share, f"[dim]{meaning}[/]")
    console.print(table)
    if matched:
        base, adapter = analysis["base"], analysis["adapter"]
        console.print(
            f"accuracy {figure(base['accuracy'])} → {figure(adapter['accuracy'])} · "
            f"AUC {figure(_known(base['auc']))} → {figure(_known(adapter['auc']))} (base → adapter)",
            style="dim",
        )


def _show_example(console: Console, example: dict[str, Any]) -> None:
    name, colour, _ = _BUCKETS[example["bucket"]]
    user = f"  user {escape(str(example['user_id']))}" if "user_id" in example else ""
    console.print(f"\n[{colour}]{name}[/]  row {example['row']:,}{user}")
    if "input" in example:
        console.print(Text(example["input"]))
    else:
        _show_film(console, example["candidate_title"], "asked")
        _show_history(console, example)
    scores = " · ".join(
        f"{model} {figure(example[model]['p_yes'], 2)} ({signed(example[model]['log_odds'], 2)})"
        for model in ("base", "adapter")
    )
    console.print(f"  truth [bold]{example['label']}[/] · P(Yes): {scores}")


def _show_history(console: Console, example: dict[str, Any]) -> None:
    """The newest films shown; how many came before."""
    titles, ratings = example["history_titles"], example["history_ratings"]
    older = len(titles) - _HISTORY_SHOWN
    if older > 0:
        console.print(f"  {'':6} {older} older films, then", style="dim")
    for place in range(max(0, older), len(titles)):
        _show_film(console, titles[place], "" if ratings is None else f"{ratings[place]:g}", dim=True)


def _show_film(console: Console, title: str | None, lead: str, *, dim: bool = False) -> None:
    """`  4.5    Heat (1995)`: titles are text, on one line, whatever is in them."""
    console.print(Text(f"  {lead:<6} {short_title(title, _TITLE_WIDTH)}", style="dim" if dim else ""))


def _known(value: float) -> float | None:
    return value if value == value else None  # NaN is not equal to itself
