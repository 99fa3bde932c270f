"""The two reporters: bars that tell how far the work came, and few calm lines where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from movielora.console.reporting import PlainReporter, TerminalReporter, format_duration, format_rate


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Page(io.StringIO):
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def plain(page: Page, clock: Clock) -> PlainReporter:
    return PlainReporter(Console(file=page, width=200, highlight=False), clock)


def test_a_short_phase_without_a_count_says_nothing(plain: PlainReporter, clock: Clock, page: Page) -> None:
    with plain.phase("Loading model"):
        clock.wait(0.9)
    assert page.lines() == []
    with plain.phase("Loading model"):
        clock.wait(1.0)
    with plain.phase("Reading", unit="films") as phase:
        phase.advance(3)
    assert page.lines() == ["Loading model: done, 1 s", "Reading: done, 3 films in 0 s"]


def test_lines_come_after_two_seconds_and_then_every_ten(plain: PlainReporter, clock: Clock, page: Page) -> None:
    with plain.phase("Writing", 1000, "examples") as phase:
        for _ in range(25):
            clock.wait(1)
            phase.advance(40)
    assert page.lines() == [
        "Writing: 80 of 1,000 examples · 40 examples/s · 23 s left",
        "Writing: 480 of 1,000 examples · 40 examples/s · 13 s left",
        "Writing: 880 of 1,000 examples · 40 examples/s · 3 s left",
        "Writing: done, 1,000 examples in 25 s",
    ]


def test_the_rate_is_of_recent_progress(plain: PlainReporter, clock: Clock, page: Page) -> None:
    """20 s of loading, then 2 steps a second."""
    with plain.phase("Training", 100, "steps") as phase:
        phase.update(0)
        clock.wait(20)
        phase.update(1)
        for step in range(2, 24):
            clock.wait(0.5)
            phase.update(step, "loss 0.52")
    assert page.lines()[1] == "Training: 21 of 100 steps · 2.0 steps/s · 40 s left · loss 0.52"


def test_a_resumed_phase_does_not_count_what_was_done_before(plain: PlainReporter, clock: Clock, page: Page) -> None:
    with plain.phase("Training", 1000, "steps") as phase:
        clock.wait(3)
        phase.update(901)
        for step in range(902, 1001):
            clock.wait(0.5)
            phase.update(step)
    assert page.lines()[:2] == [
        "Training: 901 of 1,000 steps",
        "Training: 921 of 1,000 steps · 2.0 steps/s · 40 s left",
    ]
    assert page.lines()[-1] == "Training: done, 99 steps in 52 s"


def test_a_phase_left_early_says_how_far_it_came(plain: PlainReporter, clock: Clock, page: Page) -> None:
    with plain.phase("Training", 1000, "steps") as phase:
        phase.update(0)
        clock.wait(1)
        phase.update(400)
    assert page.lines() == ["Training: done, 400 of 1,000 steps in 1 s"]


def test_an_error_ends_a_phase_without_a_word(plain: PlainReporter, page: Page) -> None:
    def broken() -> None:
        with plain.phase("Reading", unit="films") as phase:
            phase.advance(3 // 0)

    with pytest.raises(ZeroDivisionError):
        broken()
    assert page.lines() == []


@pytest.fixture
def terminal(page: Page) -> TerminalReporter:
    return TerminalReporter(Console(file=page, force_terminal=True, width=100, color_system=None))


def last_state(page: Page, name: str) -> str:
    """What stood last on the line of a phase."""
    return next(line for line in reversed(page.lines()) if name in line)


def test_a_bar_left_early_stays_where_the_work_stopped(terminal: TerminalReporter, page: Page) -> None:
    with terminal.phase("Training", 1000, "steps") as phase:
        phase.update(400, "loss 0.52")
    shown = last_state(page, "Training")
    assert "400 / 1,000 steps" in shown
    assert "loss 0.52" in shown
    assert "left" not in shown
    assert "✓" not in shown


def test_a_bar_that_came_to_its_end_is_ticked(terminal: TerminalReporter, page: Page) -> None:
    with terminal.phase("Outer [red]", unit="rows") as outer:
        with terminal.phase("Inner", 2, "files") as inner:
            inner.advance(2)
        with terminal.phase("Left", 5, "files") as inner:
            inner.advance(2)
        outer.advance(7)
    assert "✓ Outer [red]" in last_state(page, "Outer")
    assert "7 / 7 rows" in last_state(page, "Outer")
    assert "✓ Inner" in last_state(page, "Inner")
    assert "2 / 5 files" in last_state(page, "Left")
    assert "✓" not in last_state(page, "Left")


def test_a_phase_without_count_or_total_is_ticked(terminal: TerminalReporter, page: Page) -> None:
    with terminal.phase("Loading model"):
        pass
    assert "✓ Loading model" in last_state(page, "Loading model")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (8040, "2 h 14 min"), (3599.6, "1 h 00 min")],
)
def test_format_duration(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


def test_format_rate() -> None:
    assert [format_rate(1562.4, "examples"), format_rate(8.14, "steps"), format_rate(3, "")] == [
        "1,562 examples/s",
        "8.1 steps/s",
        "3.0 items/s",
    ]
