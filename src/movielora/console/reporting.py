"""The two reporters: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from movielora.console.output import stderr
from movielora.progress import Phase, Reporter

# Plain lines are for logs: often enough to see life, seldom enough to read.
_PLAIN_FIRST_SECONDS = 2.0
_PLAIN_EVERY_SECONDS = 10.0


def reporter() -> Reporter:
    """Bars where stderr is a terminal, plain lines where it is a file or a pipe."""
    console = stderr()
    return TerminalReporter(console) if console.is_terminal else PlainReporter(console)


def format_duration(seconds: float) -> str:
    """`8 s`, `3 min 05 s`, `2 h 14 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_rate(per_second: float, unit: str) -> str:
    """`1,562 examples/s`; below ten a second, one decimal."""
    figure = f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:,.1f}"
    return f"{figure} {unit or 'items'}/s"


class _TailColumn(ProgressColumn):
    """`1,234 / 14,676 steps · 8.1 steps/s · 3 min 05 s left · loss 0.52`."""

    def render(self, task: Task) -> Text:
        unit = str(task.fields.get("unit", ""))
        parts: list[str] = []
        if task.total is not None:
            parts.append(f"{int(task.completed):,} / {int(task.total):,} {unit}".rstrip())
        elif task.completed:
            parts.append(f"{int(task.completed):,} {unit}".rstrip())
        if task.finished:
            parts.append(format_duration(task.finished_time or 0.0))
        else:
            if task.speed:
                parts.append(format_rate(task.speed, unit))
            if task.time_remaining is not None and task.total is not None and task.completed:
                parts.append(f"{format_duration(task.time_remaining)} left")
        if task.fields.get("detail"):
            parts.append(str(task.fields["detail"]))
        return Text(" · ".join(parts), style="dim", overflow="ellipsis", no_wrap=True)


class _BarPhase:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)

    def update(self, done: int, detail: str = "") -> None:
        self._progress.update(self._task, completed=done, detail=detail)


class TerminalReporter:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Progress | None = None

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        if self._live is not None:  # a phase inside a phase is one more line of the same display
            yield self._add(self._live, name, total, unit)
            return
        bar = BarColumn(bar_width=18, complete_style="green", finished_style="green")
        columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), bar, _TailColumn())
        with Progress(*columns, console=self._console, refresh_per_second=8) as progress:
            self._live = progress
            try:
                yield self._add(progress, name, total, unit)
                for task in progress.tasks:
                    progress.update(task.id, total=task.total if task.total is not None else task.completed or 1)
                    progress.update(task.id, completed=task.total)
            finally:
                self._live = None

    def _add(self, progress: Progress, name: str, total: int | None, unit: str) -> _BarPhase:
        return _BarPhase(progress, progress.add_task(escape(name), total=total, unit=unit, detail=""))

    def note(self, text: str) -> None:
        self._console.print(escape(text), style="dim", soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)


class _PlainPhase:
    def __init__(self, console: Console, name: str, total: int | None, unit: str) -> None:
        self._console, self._name, self._total, self._unit = console, name, total, unit
        self._started = time.monotonic()
        self._last = self._started - _PLAIN_EVERY_SECONDS + _PLAIN_FIRST_SECONDS
        self._done = 0
        self.spoke = False

    def advance(self, count: int = 1) -> None:
        self.update(self._done + count)

    def update(self, done: int, detail: str = "") -> None:
        self._done = done
        now = time.monotonic()
        if now - self._last >= _PLAIN_EVERY_SECONDS:
            self._last = now
            self.spoke = True
            _plain(self._console, self._line(now - self._started, detail))

    def finish(self) -> None:
        elapsed = time.monotonic() - self._started
        counted = f"{self._done:,} {self._unit}".rstrip() + " in " if self._done else ""
        _plain(self._console, f"{self._name}: done, {counted}{format_duration(elapsed)}")

    def _line(self, elapsed: float, detail: str) -> str:
        rate = self._done / elapsed if elapsed > 0 else 0.0
        parts = [f"{self._done:,}" + (f" of {self._total:,}" if self._total else "") + f" {self._unit}".rstrip()]
        if rate > 0:
            parts.append(format_rate(rate, self._unit))
            if self._total:
                parts.append(f"{format_duration((self._total - self._done) / rate)} left")
        if detail:
            parts.append(detail)
        return f"{self._name}: {' · '.join(parts)}"


class PlainReporter:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        phase = _PlainPhase(self._console, name, total, unit)
        yield phase
        phase.finish()

    def note(self, text: str) -> None:
        _plain(self._console, text)

    def warn(self, text: str) -> None:
        _plain(self._console, f"warning: {text}")


def _plain(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
