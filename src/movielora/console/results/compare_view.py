"""The view of `movielora compare`: the figures, and last the verdict and the next command, within 80 columns.

About 25 lines; `--verbose` adds every baseline, calibration, slices, every remark, and sample rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movielora.console.output import plain_table, stdout, visible
from movielora.errors import shell_command
from movielora.evaluation.metrics.formulas import LOWER_IS_BETTER
from movielora.evaluation.saved.comparison_json import entries, entry_of, roles_of
from movielora.evaluation.saved.sentences import data_warnings, describe_rows
from movielora.evaluation.saved.written_figures import figure, short, signed_figure
from movielora.machine.remote import ssh_session
from movielora.scoring.score_change import ScoreChange

_COLUMNS = {"auc": "AUC", "accuracy": "acc.", "f1": "F1", "uauc": "uAUC", "log_loss": "log loss"}
_DIFFERENCES = {"auc": "AUC", "accuracy": "accuracy"}
_EXTREMES = 3
# Of the baselines and remarks, how many fit a screen.
_BASELINES, _WARNINGS = 3, 3
# Five columns within 80.
_ASKED_WIDTH, _USER_WIDTH, _NAME_WIDTH = 36, 8, 12
_MINUS_WIDTH = 16
_LEADER_WIDTH = 22


def show_comparison(
    comparison: dict[str, Any], examples: Sequence[dict[str, Any]] = (), *, verbose: bool = False
) -> None:
    """Print a comparison; `examples` are printed if `verbose`."""
    console = stdout()
    console.print()
    console.print(escape(describe_rows(comparison)) + ".", style="dim")
    _show_leaders(console, comparison, verbose=verbose)
    _show_differences(console, comparison, verbose=verbose)
    if verbose:
        _show_calibration(console, comparison)
        reference = entry_of(comparison, roles_of(comparison).reference)["name"]
        show_slices(console, comparison["slices"], comparison["data"], reference, only_extremes=True)
        _show_examples(console, comparison, examples)
    _show_warnings(console, comparison, verbose=verbose)
    _show_precision(console, comparison.get("base_precision"))
    console.print(f"\n[bold]{escape(comparison['verdict'])}[/]")
    if comparison.get("output_dir"):
        shown = "--open" if ssh_session() is None else "--serve"
        command = shell_command("movielora", "report", comparison["output_dir"], shown)
        console.print(f"next  {escape(command)}", soft_wrap=True)


def _show_precision(console: Console, entry: dict[str, Any] | None) -> None:
    """How far the adapter's answers on this base differ from those on the base in the other precision."""
    if entry is None:
        return
    change = ScoreChange(**{field.name: entry[field.name] for field in fields(ScoreChange)})
    console.print(f"\nOn the {entry['precision']} base instead of the {entry['against']} one, {change.sentence()}.")


def _show_examples(console: Console, comparison: dict[str, Any], examples: Sequence[dict[str, Any]]) -> None:
    """What was asked, the true answer, and the two answers with P(Yes); a line each."""
    if not examples:
        return
    roles = roles_of(comparison)
    columns = (roles.reference, roles.candidate)
    names = [escape(short_title(entry_of(comparison, key)["name"], _NAME_WIDTH)) for key in columns]
    table = plain_table(f"{len(examples):,} rows, of many users: is it liked?", "user", "truth", *names)
    for example in examples:
        answers = [_answer(example[key]) for key in columns]
        asked = short_title(example.get("candidate_title") or example.get("input"), _ASKED_WIDTH)
        user = short_title(str(example.get("user_id", "–")), _USER_WIDTH)
        table.add_row(escape(asked), escape(user), example["label"], *answers)
    console.print()
    console.print(table)
    console.print("each answer with P(Yes)", style="dim")


def _answer(answer: dict[str, Any]) -> str:
    """`Yes .73`; `– .73` if the generated text held no answer."""
    return f"{answer['prediction'] or '–'} {figure(answer['p_yes'], 2)}"


def short_title(title: str | None, width: int) -> str:
    """Text from data on one line of at most `width` cells of the terminal: some characters take two."""
    shown = visible(" ".join((title or "no title").split()))
    return shown if cell_len(shown) <= width else f"{set_cell_size(shown, width - 1)}…"


def span(interval: list[float] | None) -> str:
    """`.78–.83`."""
    return "–" if interval is None else f"{figure(interval[0], 2)}–{figure(interval[1], 2)}"


def difference(entry: dict[str, Any]) -> str:
    """`+.180 (.16 to .20)`."""
    if entry["low"] is None:
        return signed_figure(entry["value"])
    return f"{signed_figure(entry['value'])} ({short(entry['low'])} to {short(entry['high'])})"


def _show_leaders(console: Console, comparison: dict[str, Any], *, verbose: bool) -> None:
    """Reference, candidate, controls, external scores, and the baselines from the strongest down: a few of them, with
    the one that the verdict names, or all if `verbose`."""
    roles = roles_of(comparison)
    own = [entry_of(comparison, key) for key in (roles.reference, roles.candidate)]
    rest = {key: (kind, entry) for key, kind, entry in entries(comparison) if key not in roles.to_json().values()}
    controls = [entry for kind, entry in rest.values() if kind == "control"]
    others = [entry for kind, entry in rest.values() if kind not in ("control", "baseline")]
    baselines = [key for key, (kind, _) in rest.items() if kind == "baseline"]
    ranked = sorted(baselines, key=lambda key: -(rest[key][1]["auc"] or 0))
    shown = [
        key for key in ranked if verbose or key in ranked[:_BASELINES] or key == comparison["data"]["best_baseline"]
    ]
    best = {metric: _best([*own, *others, *(rest[key][1] for key in ranked)], metric) for metric in _COLUMNS}
    others += [rest[key][1] for key in shown]
    table = plain_table("", "AUC ", "95%", *(f"{_COLUMNS[metric]} " for metric in list(_COLUMNS)[1:]), "mass")
    table.columns[0].max_width = _LEADER_WIDTH
    for entry in own:
        table.add_row(*_leader_cells(entry, best), style="bold" if entry is own[1] else "")
    for entry in controls:
        table.add_row(*_leader_cells(entry, {}), style="dim")
    for entry in others:
        table.add_row(*_leader_cells(entry, best))
    console.print(table)
    more = len(ranked) - len(shown)
    rest_of_them = f"; {more} more baseline{'s' if more > 1 else ''} with --verbose" if more else ""
    console.print(f"* best of its column; mass: P(Yes) + P(No){rest_of_them}", style="dim")


def _leader_cells(entry: dict[str, Any], best: dict[str, float | None]) -> list[str]:
    cells = [escape(short_title(entry["name"], _LEADER_WIDTH))]
    for metric in _COLUMNS:
        is_best = entry[metric] is not None and entry[metric] == best.get(metric)
        cells.append(f"[green]{figure(entry[metric])}*[/]" if is_best else f"{figure(entry[metric])} ")
        if metric == "auc":
            cells.append(span(entry["intervals"]["auc"]))
    return [*cells, "" if entry["answer_mass"] is None else figure(entry["answer_mass"])]


def _best(entries: list[dict[str, Any]], metric: str) -> float | None:
    values = [entry[metric] for entry in entries if entry[metric] is not None]
    if not values:
        return None
    return float(min(values) if metric in LOWER_IS_BETTER else max(values))


def _show_differences(console: Console, comparison: dict[str, Any], *, verbose: bool) -> None:
    candidate = entry_of(comparison, roles_of(comparison).candidate)["name"]
    table = plain_table(f"{escape(candidate)} minus", *_DIFFERENCES.values())
    for name, entry in _named_differences(comparison):
        table.add_row(escape(name), *(difference(entry[metric]) for metric in _DIFFERENCES))
    console.print()
    console.print(table)
    buckets, test = comparison["buckets"], comparison["mcnemar"]
    p_value = "p < .001" if test["p_value"] < 0.001 else f"p = {figure(test['p_value'])}"
    console.print(
        f"fixed {buckets['fixed']:,} · broken {buckets['broken']:,} · both right {buckets['both_right']:,} · "
        f"both wrong {buckets['both_wrong']:,}"
    )
    if verbose:
        console.print(f"McNemar's exact test {p_value}; it {test['caveat']}", style="dim")


def _named_differences(comparison: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found, roles = comparison["difference"], roles_of(comparison)
    best = comparison["data"]["best_baseline"]
    named = {roles.reference: found["candidate_minus_reference"]}
    if found["candidate_minus_best_baseline"]:
        named.setdefault(best, found["candidate_minus_best_baseline"])
    named |= found["candidate_minus_controls"] | found["candidate_minus_others"]
    return [(entry_of(comparison, key)["name"], entry) for key, entry in named.items()]


def _show_calibration(console: Console, comparison: dict[str, Any]) -> None:
    console.print()
    roles, best = roles_of(comparison), comparison["data"]["best_baseline"]
    keys = dict.fromkeys((roles.reference, roles.candidate, *([best] if best else [])))
    shown = [entry_of(comparison, key) for key in keys]
    fitted = [entry for entry in shown if entry["calibrated"] and entry["at_best_f1"]]
    if not fitted:
        console.print(f"Not calibrated: {comparison['calibration']['reason']}.", style="dim")
        return
    bins = comparison["calibration"]["ece_bins"]
    table = plain_table("fitted on the eval split", "T", "log loss", "at T", "ECE", "at T", "cut", "F1 there")
    for entry in fitted:
        tempered, cut = entry["calibrated"], entry["at_best_f1"]
        table.add_row(
            escape(entry["name"]),
            "over 100" if tempered["temperature"] >= 100 else f"{tempered['temperature']:.2f}",
            figure(entry["log_loss"]),
            figure(tempered["log_loss"]),
            figure(entry["ece"]),
            figure(tempered["ece"]),
            signed_figure(cut["threshold"], 2),
            figure(cut["f1"]),
        )
    console.print(table)
    console.print(f"T: temperature, above 1: overconfident; cut: log-odds of best F1; ECE: {bins} bins", style="dim")


def show_slices(
    console: Console, slices: list[dict[str, Any]], data: dict[str, Any], reference: str, *, only_extremes: bool = False
) -> None:
    """Slices by candidate minus reference; `*` if the difference is clear after the correction."""
    chosen = _extremes(slices) if only_extremes else slices
    if not chosen:
        return
    minus = escape(short_title(f"minus {reference}", _MINUS_WIDTH))
    table = plain_table("slice", "", "n", "AUC", minus, "95%", "")
    table.columns[1].justify = "left"
    table.columns[1].max_width = 20
    above = None
    for entry in chosen:
        gain = entry["candidate_minus_reference"]["auc"]
        between = "–" if gain["low"] is None else f"{short(gain['low'])} to {short(gain['high'])}"
        table.add_row(
            "" if entry["by"] == above else escape(entry["by_title"]),
            escape(entry["slice"]),
            f"{entry['n']:,}",
            figure(entry["candidate"]["auc"]),
            signed_figure(gain["value"]),
            between,
            "*" if gain["clear"] else "",
        )
        above = entry["by"]
    console.print()
    console.print(table)
    which = f"the {len(chosen)} weakest and strongest of {len(slices)} slices; " if len(chosen) < len(slices) else ""
    hidden = f"; {data['slices_hidden']} under {data['slices_min_rows']} rows hidden" if data["slices_hidden"] else ""
    console.print(f"{which}* clear after Holm's correction over all slices{hidden}", style="dim")


def _extremes(slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [entry for entry in slices if entry["candidate_minus_reference"]["auc"]["value"] is not None]
    ranked = sorted(known, key=lambda entry: entry["candidate_minus_reference"]["auc"]["value"])
    if len(ranked) <= 2 * _EXTREMES:
        return ranked
    return [*ranked[:_EXTREMES], *ranked[-_EXTREMES:]]


def _show_warnings(console: Console, comparison: dict[str, Any], *, verbose: bool) -> None:
    """The most important remarks, or all if `verbose`; and what else there is to see."""
    found = data_warnings(comparison)
    shown = found if verbose else found[:_WARNINGS]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    for sentence in shown:
        table.add_row("·", escape(sentence))
    more = len(found) - len(shown)
    if not verbose:
        remarks = f"{more} more remark{'s' if more > 1 else ''}, " if more else ""
        table.add_row("·", f"{remarks}calibration, slices and sample rows with --verbose")
    console.print()
    console.print(table, style="dim")
