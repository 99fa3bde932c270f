"""The views of `doctor`, `doctor wheel` and `doctor --explain`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from movielora.console.outlook_view import show_outlook
from movielora.console.output import stdout
from movielora.doctor.check import Check, overall, verdict
from movielora.doctor.examine import Diagnosis
from movielora.doctor.failures import Explanation, Reading
from movielora.doctor.wheels import Choice

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red"), "skipped": ("-", "dim")}


def show_diagnosis(diagnosis: Diagnosis, *, verbose: bool) -> None:
    """Print warnings and failures, each with its fix (`verbose`: every check), the verdict, and what training costs."""
    shown = [check for check in diagnosis.checks if verbose or check.status in ("warning", "failure")]
    console = stdout()
    if shown:
        console.print(_table(shown))
        console.print()
    mark, style = _MARKS[overall(diagnosis.checks)]
    console.print(Text.assemble((f"[{mark}] ", style), (verdict(diagnosis.checks), "bold")))
    hidden = len(diagnosis.checks) - len(shown)
    if hidden:
        console.print(Text(f"    {hidden} more with --verbose", "dim"))
    if diagnosis.outlook:
        console.print()
        show_outlook(diagnosis.outlook)


def _table(checks: Sequence[Check]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark, style = _MARKS[check.status]
        table.add_row(Text(f"[{mark}]", style), Text(check.name), _said(check))
    return table


def _said(check: Check) -> Text:
    said = Text(check.found, "dim" if check.status == "skipped" else "")
    if check.status in ("warning", "failure"):
        said.append(f"\nneeds {check.needed}", "dim")
    if check.fix:
        said.append("\n→ ", "cyan").append(check.fix, "cyan")
    return said


def show_wheel(choice: Choice, checked: str) -> None:
    """Print the wheel; the command is the last line, so that it can be copied."""
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


# A log may hold thousands of lines that look like errors.
_UNRECOGNISED_SHOWN = 5


def show_explanations(reading: Reading) -> None:
    """Print each known failure with its cause and fix, then the lines that look like errors and are not known."""
    console = stdout()
    if not reading.known:
        console.print("No known failure in this text.")
        console.print(Text("movielora doctor checks the machine itself", "dim"))
    for index, found in enumerate(reading.known):
        if index:
            console.print()
        console.print(Text.assemble((f"{found.subject}: ", "bold"), (found.name, "bold")))
        console.print(_facts(found))
        console.print(Text(f"  → {found.command}", "cyan"), soft_wrap=True)
    if reading.unrecognised:
        console.print()
        console.print(Text("Not recognised:", "yellow"))
    for line in reading.unrecognised[:_UNRECOGNISED_SHOWN]:
        console.print(Text(f"  line {line.number}: {line.line}", "dim"))
    hidden = len(reading.unrecognised) - _UNRECOGNISED_SHOWN
    if hidden > 0:
        console.print(Text(f"  {hidden:,} more lines that look like errors", "dim"))


def _facts(found: Explanation) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(f"  line {found.number}:", "dim"), Text(found.line, "dim"))
    table.add_row("  cause:", Text(found.cause))
    table.add_row("  fix:", Text(found.fix))
    return table
