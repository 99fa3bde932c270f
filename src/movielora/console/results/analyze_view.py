"""The view of `movielora analyze`: the selection's buckets, its slices, and rows to read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from movielora.console.output import plain_table, stdout
from movielora.console.results.compare_view import short_title, show_slices
from movielora.evaluation.saved.written_figures import figure, signed_figure

_BUCKETS = {
    "broken": ("Broken", "red", "{reference} right, {candidate} wrong"),
    "fixed": ("Fixed", "green", "{reference} wrong, {candidate} right"),
    "both_wrong": ("Both wrong", "yellow", ""),
    "both_right": ("Both right", "dim", ""),
}
# A title longer than this is cut: one film a line.
_TITLE_WIDTH = 64
_HISTORY_SHOWN = 5
_NAME_WIDTH = 14


def show_analysis(analysis: dict[str, Any], *, filtered: bool) -> None:
    console = stdout()
    console.print()
    console.print(f"[bold]{escape(analysis['verdict'])}[/]")
    console.print()
    _show_buckets(console, analysis)
    if not filtered:
        show_slices(console, analysis["slices"], analysis, _names(analysis)["reference"])
    for example in analysis["examples"]:
        _show_example(console, example, analysis)
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
    names = _names(analysis)
    for key, (name, colour, meaning) in _BUCKETS.items():
        count = analysis["buckets"][key]
        share = f"{count / matched:.1%}" if matched else "–"
        table.add_row(f"[{colour}]{name}[/]", f"{count:,}", share, f"[dim]{escape(meaning.format(**names))}[/]")
    console.print(table)
    if matched:
        before, now = (analysis["columns"][analysis["roles"][role]] for role in ("reference", "candidate"))
        console.print(
            escape(
                f"accuracy {figure(before['accuracy'])} → {figure(now['accuracy'])} · "
                f"AUC {figure(_known(before['auc']))} → {figure(_known(now['auc']))} "
                f"({names['reference']} → {names['candidate']})"
            ),
            style="dim",
        )


def _names(analysis: dict[str, Any]) -> dict[str, str]:
    """The names of the two columns, by role; one line each, and not too wide."""
    return {role: short_title(analysis["names"][key], _NAME_WIDTH) for role, key in analysis["roles"].items()}


def _show_example(console: Console, example: dict[str, Any], analysis: dict[str, Any]) -> None:
    name, colour, _ = _BUCKETS[example["bucket"]]
    user = f"  user {escape(str(example['user_id']))}" if "user_id" in example else ""
    console.print(f"\n[{colour}]{name}[/]  row {example['row']:,}{user}")
    if "input" in example:
        console.print(Text(example["input"]))
    else:
        _show_film(console, example["candidate_title"], "asked")
        _show_history(console, example)
    scores = " · ".join(
        f"{name} {figure(example[analysis['roles'][role]]['p_yes'], 2)} "
        f"({signed_figure(example[analysis['roles'][role]]['log_odds'], 2)})"
        for role, name in _names(analysis).items()
    )
    console.print(f"  truth [bold]{example['label']}[/] · P(Yes): {escape(scores)}")


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
