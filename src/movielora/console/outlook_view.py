"""How the outlook of a training looks: its time, what a crash loses, the download, the disk."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from movielora.console.output import stdout
from movielora.console.reporting import format_duration
from movielora.console.training.status_view import format_bytes
from movielora.training.outlook import Outlook

_LABEL_WIDTH = 10


def show_outlook(outlook: Outlook, *, with_time: bool = True) -> None:
    """Print a line for each; without `with_time` those that depend on the processor are left out."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=_LABEL_WIDTH)
    table.add_column(overflow="fold")
    for label, said, problem in _lines(outlook, with_time=with_time):
        table.add_row(label, Text(said, "yellow" if problem else ""))
    stdout().print(table)


def format_about(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 35 min`, `4.5 days`: a duration that is not known to the second."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return format_duration(round(seconds / 300) * 300)
    return f"{seconds / 86400:.1f} days"


def _lines(outlook: Outlook, *, with_time: bool) -> list[tuple[str, str, bool]]:
    """(label, sentence, whether it is a problem)."""
    lines = []
    if with_time:
        lines += [
            ("time", _time(outlook), False),
            ("saving", _saving(outlook), outlook.wise_save_steps is not None),
        ]
    missing, free = outlook.download.missing_bytes, outlook.disk.free_bytes
    lines.append(("download", _download(outlook), False))
    lines.append(("disk", _disk(outlook), outlook.disk.run_bytes + missing > free))
    return lines


def _time(outlook: Outlook) -> str:
    found, work = outlook.duration, outlook.work
    said = f"about {format_about(found.seconds)} on {found.where}, {found.how}"
    if outlook.evaluations:
        count = outlook.evaluations
        said += f"; {count} evaluation{'' if count == 1 else 's'} of {work.evaluation_rows:,} rows included"
    if work.assumed:
        said += f". The data is not there yet: {work.examples:,} examples of {work.tokens:.0f} tokens are assumed"
    return said


def _saving(outlook: Outlook) -> str:
    said = f"every {outlook.save_steps:,} steps: a crash loses at most about {format_about(outlook.lost_seconds)}"
    wise = outlook.wise_save_steps
    return said if wise is None else f"{said}; half an hour with --set save_steps={wise}"


def _download(outlook: Outlook) -> str:
    found = outlook.download
    if not found.total_bytes:
        return f"nothing: {found.name} is here"
    if not found.missing_bytes:
        return f"nothing: {found.name} is in the cache, {found.cache}"
    about = "" if found.exact else "about "
    here = f", {format_bytes(found.here_bytes)} of it is there" if found.here_bytes else ""
    return f"{about}{format_bytes(found.total_bytes)} of {found.name} into {found.cache}{here}"


def _disk(outlook: Outlook) -> str:
    disk = outlook.disk
    checkpoints = f"{disk.checkpoints} checkpoint{'' if disk.checkpoints == 1 else 's'}"
    size = f"{checkpoints} of {format_bytes(disk.checkpoint_bytes)} and the adapter"
    enough = "" if disk.run_bytes + outlook.download.missing_bytes <= disk.free_bytes else ", which is not enough"
    return f"up to {format_bytes(disk.run_bytes)}: {size}; {format_bytes(disk.free_bytes)} free{enough}"
