"""The two reporters: bars on a terminal, plain lines in a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOBase

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from movielora.console.output import on_stream, stderr
from movielora.progress import Phase, Reporter

# Plain lines are for logs: often enough to show progress, seldom enough to read.
_PLAIN_FIRST_SECONDS = 2.0
_PLAIN_EVERY_SECONDS = 10.0
# A phase that counted nothing and took less than this gets no line.
_PLAIN_SHORT_SECONDS = 1.0


def reporter() -> Reporter:
    """Return bars if stderr is a terminal, plain lines if it is a file or a pipe."""
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
        if task.finished or task.stop_time is not None:
            parts.append(format_duration(task.elapsed or 0.0))
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

    def finish(self) -> None:
        """Fill the bar if there was no total; a phase that ended early keeps its bar where the work stopped."""
        task = next(task for task in self._progress.tasks if task.id == self._task)
        if task.total is None:
            self._progress.update(self._task, total=task.completed or 1, completed=task.completed or 1)
        self._progress.stop_task(self._task)


class TerminalReporter:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Progress | None = None

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        if self._live is not None:  # a nested phase is one more line of the same display
            inner = self._add(self._live, name, total, unit)
            yield inner
            inner.finish()
            return
        bar = BarColumn(bar_width=18, complete_style="green", finished_style="green")
        columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), bar, _TailColumn())
        with Progress(*columns, console=self._console, refresh_per_second=8) as progress:
            self._live = progress
            try:
                phase = self._add(progress, name, total, unit)
                yield phase
                phase.finish()
            finally:
                self._live = None

    def _add(self, progress: Progress, name: str, total: int | None, unit: str) -> _BarPhase:
        return _BarPhase(progress, progress.add_task(escape(name), total=total, unit=unit, detail=""))

    def note(self, text: str) -> None:
        self._console.print(escape(text), style="dim", soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)


class _PlainPhase:
    """Prints a line now and then. A rate covers the work since the last line: what a resumed phase begins with was done
    before, and a slow start says nothing about the rest."""

    def __init__(self, console: Console, clock: Callable[[], float], name: str, total: int | None, unit: str) -> None:
        self._console, self._clock, self._name, self._total, self._unit = console, clock, name, total, unit
        self._started = clock()
        self._next_line = self._started + _PLAIN_FIRST_SECONDS
        self._before = self._done = 0
        self._mark: tuple[float, int] | None = None

    def advance(self, count: int = 1) -> None:
        self._mark = self._mark or (self._started, 0)
        self._see(self._done + count, "")

    def update(self, done: int, detail: str = "") -> None:
        if self._mark is None:
            self._before, self._mark = done, (self._clock(), done)
        self._see(done, detail)

    def _see(self, done: int, detail: str) -> None:
        self._done = done
        now = self._clock()
        if now >= self._next_line:
            _plain(self._console, self._line(now, detail))
            self._next_line, self._mark = now + _PLAIN_EVERY_SECONDS, (now, done)

    def finish(self) -> None:
        elapsed, counted = self._clock() - self._started, self._done - self._before
        if elapsed < _PLAIN_SHORT_SECONDS and not counted:
            return
        left_early = self._total is not None and self._done < self._total
        work = f"{self._done:,} of {self._total:,}" if left_early else f"{counted:,}"
        said = f"{work} {self._unit}".rstrip() + " in " if counted else ""
        _plain(self._console, f"{self._name}: done, {said}{format_duration(elapsed)}")

    def _line(self, now: float, detail: str) -> str:
        since, before = self._mark or (self._started, 0)
        rate = (self._done - before) / (now - since) if now > since else 0.0
        parts = [f"{self._done:,}" + (f" of {self._total:,}" if self._total else "") + f" {self._unit}".rstrip()]
        if rate > 0:
            parts.append(format_rate(rate, self._unit))
            if self._total:
                parts.append(f"{format_duration((self._total - self._done) / rate)} left")
        if detail:
            parts.append(detail)
        return f"{self._name}: {' · '.join(parts)}"


class PlainReporter:
    """Prints plain lines. `clock` returns monotonic seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        phase = _PlainPhase(self._console, self._clock, name, total, unit)
        yield phase
        phase.finish()

    def note(self, text: str) -> None:
        _plain(self._console, text)

    def warn(self, text: str) -> None:
        _plain(self._console, f"warning: {text}")


class _BothPhases:
    def __init__(self, *phases: Phase) -> None:
        self._phases = phases

    def advance(self, count: int = 1) -> None:
        for phase in self._phases:
            phase.advance(count)

    def update(self, done: int, detail: str = "") -> None:
        for phase in self._phases:
            phase.update(done, detail)


class LoggedReporter:
    """Reports to a person and, as plain lines, to a log."""

    def __init__(self, shown: Reporter, log: TextIOBase) -> None:
        self._both = (shown, PlainReporter(on_stream(log)))

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        with ExitStack() as phases:
            yield _BothPhases(*(phases.enter_context(each.phase(name, total, unit)) for each in self._both))

    def note(self, text: str) -> None:
        for each in self._both:
            each.note(text)

    def warn(self, text: str) -> None:
        for each in self._both:
            each.warn(text)


def _plain(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
