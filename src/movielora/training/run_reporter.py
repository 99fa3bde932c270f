"""What is reported to the user, written to the run's heartbeat too, so that `status` knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from movielora.progress import Phase, Reporter
from movielora.runs.session import RunSession


class RunReporter:
    """Reports to the user and to the run's heartbeat."""

    def __init__(self, reporter: Reporter, session: RunSession) -> None:
        self._reporter, self._session = reporter, session
        self.note, self.warn = reporter.note, reporter.warn

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        self._session.beat(phase=name.lower(), phase_done=0, phase_total=total, phase_unit=unit, force=True)
        with self._reporter.phase(name, total, unit) as phase:
            yield _RunPhase(phase, self._session)


class _RunPhase:
    def __init__(self, phase: Phase, session: RunSession) -> None:
        self._phase, self._session = phase, session
        self._done = 0

    def advance(self, count: int = 1) -> None:
        self._done += count
        self._phase.advance(count)
        self._session.beat(phase_done=self._done)

    def update(self, done: int, detail: str = "") -> None:
        self._done = done
        self._phase.update(done, detail)
        self._session.beat(phase_done=done)
