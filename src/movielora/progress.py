"""What a recipe says while it works, without knowing who listens.

Recipes take a `Reporter` and never draw. `movielora.console` gives one for terminals and one for plain logs;
tests and library users get `SILENT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Phase(Protocol):
    """One stretch of work with a known or unknown length."""

    def advance(self, count: int = 1) -> None: ...

    def update(self, done: int, detail: str = "") -> None:
        """Set the absolute count done; `detail` is a short text such as `loss 0.52`."""


class Reporter(Protocol):
    def phase(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Phase]:
        """Open a stretch of work: `with reporter.phase("Tokenizing", 78_271, "examples") as phase: ...`."""

    def note(self, text: str) -> None:
        """One calm line the user should see."""

    def warn(self, text: str) -> None:
        """One line the user should act on."""


class _SilentPhase:
    def advance(self, count: int = 1) -> None:
        return

    def update(self, done: int, detail: str = "") -> None:
        return


class _SilentReporter:
    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Phase]:
        yield _SilentPhase()

    def note(self, text: str) -> None:
        return

    def warn(self, text: str) -> None:
        return


SILENT: Reporter = _SilentReporter()
