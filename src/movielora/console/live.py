"""A view that is redrawn in place."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType
from rich.live import Live

from movielora.console.output import stdout


def redraw(
    look: Callable[[], tuple[RenderableType, bool]], *, every_seconds: float, sleep: Callable[[float], None]
) -> None:
    """Draw what `look` returns until it says that nothing more will change.

    `look` returns the view and whether it may still change. On a terminal each view replaces the last; in a file or a
    pipe they follow each other.
    """
    console = stdout()
    view, may_change = look()
    if not console.is_terminal:
        console.print(view)
        while may_change:
            sleep(every_seconds)
            view, may_change = look()
            console.print()
            console.print(view)
        return
    with Live(view, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while may_change:
            sleep(every_seconds)
            view, may_change = look()
            live.update(view, refresh=True)
