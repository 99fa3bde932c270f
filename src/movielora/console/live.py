"""A page that is drawn again in its place."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType
from rich.live import Live

from movielora.console.output import stdout


def redraw(
    look: Callable[[], tuple[RenderableType, bool]], *, every_seconds: float, sleep: Callable[[float], None]
) -> None:
    """Draw what `look` gives, again and again, until it says that nothing more will change.

    On a terminal each page replaces the last; elsewhere (a file, a pipe) pages follow each other.
    """
    console = stdout()
    page, goes_on = look()
    if not console.is_terminal:
        console.print(page)
        while goes_on:
            sleep(every_seconds)
            page, goes_on = look()
            console.print()
            console.print(page)
        return
    with Live(page, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while goes_on:
            sleep(every_seconds)
            page, goes_on = look()
            live.update(page, refresh=True)
