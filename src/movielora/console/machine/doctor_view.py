"""The pages of `doctor`, `doctor wheel` and `doctor --explain`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from movielora.console.output import stdout
from movielora.doctor.check import Check, overall, verdict
from movielora.doctor.examine import Diagnosis
from movielora.doctor.failures import Explanation
from movielora.doctor.wheels import Choice

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red"), "skipped": ("-", "dim")}


def show_diagnosis(diagnosis: Diagnosis, *, verbose: bool) -> None:
    """What needs a hand, each with its cure under it; with `verbose` everything. The verdict comes last."""
    shown = [check for check in diagnosis.checks if verbose or check.status in ("warning", "failure")]
    console = stdout()
    if shown:
        console.print(_page(shown))
        console.print()
    mark, style = _MARKS[overall(diagnosis.checks)]
    console.print(Text.assemble((f"[{mark}] ", style), (verdict(diagnosis.checks), "bold")))
    hidden = len(diagnosis.checks) - len(shown)
    if hidden:
        console.print(Text(f"    {hidden} more with --verbose", "dim"))


def _page(checks: Sequence[Check]) -> Table:
    page = Table.grid(padding=(0, 1))
    page.add_column(no_wrap=True)
    page.add_column(no_wrap=True)
    page.add_column(overflow="fold")
    for check in checks:
        mark, style = _MARKS[check.status]
        page.add_row(Text(f"[{mark}]", style), Text(check.name), _said(check))
    return page


def _said(check: Check) -> Text:
    said = Text(check.found, "dim" if check.status == "skipped" else "")
    if check.status in ("warning", "failure"):
        said.append(f"\nneeds {check.needed}", "dim")
    if check.fix:
        said.append("\n→ ", "cyan").append(check.fix, "cyan")
    return said


def show_wheel(choice: Choice, checked: str) -> None:
    """The command comes last and alone, so that it can be copied."""
    console = stdout()
    if choice.wheel is None:
        console.print(Text.assemble(("No wheel: ", "yellow"), choice.reason))
        return
    console.print(Text(choice.wheel.file, "bold"), soft_wrap=True)
    console.print(Text(f"{choice.reason}.", "dim"))
    console.print(Text(_ON_THE_SERVER[checked], "dim"))
    console.print(Text(choice.wheel.command, "cyan"), soft_wrap=True)


_ON_THE_SERVER = {
    "there": "On the server: checked just now.",
    "absent": "On the server: absent.",
    "not checked": "On the server: not checked (--check asks, and needs the network).",
}


def show_explanations(explanations: Sequence[Explanation]) -> None:
    console = stdout()
    if not explanations:
        console.print("No known failure in this text.")
        console.print(Text("movielora doctor looks at the machine itself", "dim"))
    for index, found in enumerate(explanations):
        if index:
            console.print()
        console.print(Text.assemble((f"{found.subject}: ", "bold"), (found.name, "bold")))
        console.print(Text(f"  line {found.number}: {found.line}", "dim"))
        console.print(Text(f"  cause: {found.cause}"))
        console.print(Text(f"  fix:   {found.fix}"))
        console.print(Text(f"  → {found.command}", "cyan"))
