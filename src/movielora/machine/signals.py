"""Signal handlers of this process, set for a while: a run's stop, a server that must end with its command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


class SignalHandlers:
    """Handlers that `install` sets, as often as needed, and leaving the block takes back to what was there first.

    A signal that was ignored at the first `install` stays ignored: whoever started this program (nohup, a shell's
    background job, a service) wanted it so, and nothing else can tell it.
    """

    def __init__(self) -> None:
        self._first: dict[int, Handler | int | None] = {}

    def install(self, number: signal.Signals, handler: Handler) -> None:
        """Only the main thread may. A handler that a library put in between is replaced, and not remembered."""
        first = self._first.setdefault(number, signal.getsignal(number))
        signal.signal(number, signal.SIG_IGN if first is signal.SIG_IGN else handler)

    def ignores(self, number: signal.Signals) -> bool:
        """Whether the signal was ignored before, and so stays ignored."""
        return self._first.get(number) is signal.SIG_IGN

    def restore(self) -> None:
        for number, handler in self._first.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._first.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


@contextmanager
def until_interrupted() -> Iterator[Callable[[], None]]:
    """Yield what waits until Ctrl-C or SIGTERM, which end the block calmly: for a server that runs in the foreground.

    SIGTERM interrupts from the beginning of the block, so that what was started inside is ended.
    """
    with suppress(KeyboardInterrupt), terminate_as_interrupt():
        yield _wait


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """In the block SIGTERM does what Ctrl-C does, raise KeyboardInterrupt, so that the work says what it keeps."""
    with SignalHandlers() as handlers:
        if threading.current_thread() is threading.main_thread():
            handlers.install(signal.SIGTERM, signal.default_int_handler)
        yield


def _wait() -> None:
    while True:
        signal.pause()


def end_by(number: int) -> None:
    """End this process by the signal, as if it had no handler for it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
