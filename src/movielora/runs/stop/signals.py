"""Stop signals of a run: before the training they end the work at once, during it they are a flag that is polled."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Self

from movielora.machine.signals import SignalHandlers, end_by
from movielora.runs.paths import RunPaths
from movielora.runs.stop_request import StopRequest, stop_is_requested, wants_save

# Group-wide delivery (a scheduler, `kill -- -PGID`) may repeat one request; a person takes longer.
_SAME_REQUEST_SECONDS = 0.3
# How often the file of a request is looked for if the signal that goes with it is ignored.
_LOOK_EVERY_SECONDS = 1.0


class StopNow(BaseException):
    """Leaves the work at once. No Exception, because libraries catch those while they import and load."""


class StopSignals:
    """`stop` is what was asked. `training`: a stop is a flag; `leaving`: nothing is left to interrupt.

    TERM and INT ask for a stop, and HUP unless the run is detached. A signal that was ignored when the program began
    (nohup, a shell's background job) stays ignored; `stop` then reaches the run by the file it writes.

    Use as a context manager around taking the folder: what arrives before `begin` waits until there is a run that can
    record it, and at the end of the block what still waits has its usual effect. A blocked signal would not wait: the
    kernel gives it to a thread that a library has started, and its default effect ends the process.
    """

    def __init__(self, paths: RunPaths, *, detached: bool) -> None:
        self.stop = StopRequest()
        self.training = self.leaving = False
        self._paths, self._detached = paths, detached
        self._run_id = ""
        self._waiting: list[int] = []
        self._pid = os.getpid()
        self._asked_at = self._looked_at = 0.0
        self._handlers = SignalHandlers()

    def install(self) -> None:
        """Done on entering, and again before the training: libraries install handlers of their own while they load."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._handlers.install(signal.SIGTERM, self._on_signal)
        self._handlers.install(signal.SIGINT, self._on_signal)
        self._handlers.install(signal.SIGHUP, signal.SIG_IGN if self._detached else self._on_signal)

    def begin(self, run_id: str) -> None:
        """The run is there. A stop that arrived before is asked for now; the next `look` ends the work."""
        self._run_id = run_id
        while self._waiting:
            self._ask(signal.Signals(self._waiting.pop()))

    def restore(self) -> None:
        self._handlers.restore()
        while self._waiting:
            os.kill(os.getpid(), self._waiting.pop())

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def look(self) -> None:
        """See whether a stop was asked that no signal can bring. Ends the work if it must not train."""
        now = time.monotonic()
        if self._handlers.ignores(signal.SIGTERM) and now - self._looked_at >= _LOOK_EVERY_SECONDS:
            self._looked_at = now
            if not self.stop.requested and stop_is_requested(self._paths, self._run_id):
                self._ask(signal.SIGTERM)
        self.leave_if_loading()

    def leave_if_loading(self) -> None:
        """A library may have swallowed what the handler raised; the request still holds."""
        if self.stop.requested and not self.training:
            raise StopNow

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            _as_if_unhandled(number)
            return
        if not self._run_id:
            self._waiting.append(number)
            return
        now = time.monotonic()
        if self.stop.requested and now - self._asked_at < _SAME_REQUEST_SECONDS:
            return
        insisted, self._asked_at = self.stop.requested, now
        self._ask(signal.Signals(number))
        if self.leaving:  # how it ended is being written: nothing is left to interrupt
            return
        if insisted:
            self.stop.insisted, self.stop.save = True, False
            raise StopNow
        self.leave_if_loading()

    def _ask(self, number: signal.Signals) -> None:
        self.stop.signal = number.name
        if not self.stop.requested:
            self.stop.save = wants_save(self._paths, self._run_id)
        self.stop.requested = True


def _as_if_unhandled(number: int) -> None:
    """In a forked worker: TERM ends it as its parent expects; Ctrl-C is the parent's to answer."""
    if number != signal.SIGINT:
        end_by(number)
