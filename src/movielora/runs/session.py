"""One attempt of a run, from the inside: folder, lock, record, heartbeat, metrics, stop signals, ending."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, Self

from movielora.errors import MovieloraError, RequestError, StoppedError
from movielora.machine.process_settings import private_files, take_variable
from movielora.machine.signals import SignalHandlers, WaitingSignals, end_by
from movielora.runs import run_guard
from movielora.runs.checkpoint_staging import remove_leftovers
from movielora.runs.lookup.find import call_name
from movielora.runs.paths import RunPaths
from movielora.runs.record import new_record
from movielora.runs.run_guard import StartMode
from movielora.runs.status.heartbeat import HeartbeatWriter
from movielora.runs.stop_request import StopRequest, wants_save
from movielora.storage.atomic import finite, read_json, write_json_atomically, write_text_atomically

# Set by `detach` for the child, which is otherwise the ordinary command again.
DETACHED_VARIABLE = "MOVIELORA_DETACHED"

# Group-wide delivery (a scheduler, `kill -- -PGID`) may repeat one request; a person takes longer.
_SAME_REQUEST_SECONDS = 0.3

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

EndState = Literal["finished", "stopped", "failed", "interrupted"]


class _StopNow(BaseException):
    """Leaves the work at once. No Exception, because libraries catch those while they import and load."""


class RunSession:
    """Use as `with RunSession.open(...) as session:`; leaving records how the attempt ended.

    Public: `paths`, `run_id`, `name`, `stop` (polled by the trainer), `detached`.
    """

    def __init__(self, paths: RunPaths, record: dict[str, Any], waiting: WaitingSignals) -> None:
        self.paths = paths
        self.run_id: str = record["run_id"]
        self.name: str = record["name"]
        self.detached: bool = record["detached"]
        self.stop = StopRequest()
        self._record, self._waiting = record, waiting
        self._at_the_end = ExitStack()
        self._heartbeat = HeartbeatWriter(paths, self.run_id)
        self._pid = os.getpid()
        self._training = self._began = self._leaving = False
        self._asked_at = 0.0
        self._handlers = SignalHandlers()

    @classmethod
    def open(
        cls,
        run_dir: Path,
        *,
        argv: Sequence[str],
        config: Mapping[str, Any],
        config_yaml: str,
        name: str | None = None,
        mode: StartMode = "new",
    ) -> RunSession:
        """Take the folder and write who we are.

        Raises OutputError when the folder cannot be written, when another run lives in it, or when it holds results
        and `mode` is "new"; ConfigError when `name` cannot name a run.
        """
        paths = RunPaths(Path(os.path.abspath(run_dir)))  # noqa: PTH100 - keeps symlinks, unlike Path.resolve
        detached = take_variable(DETACHED_VARIABLE) == "1"
        run_guard.make_folder(paths)
        with ExitStack() as undo:
            # A stop signal waits until `__enter__` has set its handlers: it must find a run that can record it.
            waiting = undo.enter_context(WaitingSignals(_STOP_SIGNALS))
            undo.callback(run_guard.take_lock(paths).release)
            undo.enter_context(private_files())
            if mode != "resume":
                run_guard.bring_back(paths)  # an overwriting was killed before it trained
            run_guard.refuse_occupied(paths, mode)
            previous = read_json(paths.record) if mode == "resume" else None
            record = new_record(paths, argv=argv, config=config, name=name, detached=detached, previous=previous)
            remove_leftovers(paths)
            if mode != "resume":
                run_guard.set_aside(paths, keep_log=detached)
            paths.stop_request.unlink(missing_ok=True)
            write_text_atomically(paths.config, config_yaml)
            session = cls(paths, record, waiting)
            session._heartbeat.beat(phase="starting")
            session._write_record()
            session._at_the_end = undo.pop_all()
        return session

    @property
    def call_name(self) -> str:
        """What a user types to mean this run."""
        return call_name(self.paths.root, self.name)

    def describe(self, **facts: Any) -> None:
        """Add facts to run.json: data_hash, base, versions (merged), attention … Raises OSError."""
        versions = facts.pop("versions", {})
        self._record["versions"] = {**self._record["versions"], **versions}
        self._record.update(facts)
        self._write_record()

    def beat(self, *, force: bool = False, **said: Any) -> None:
        """Merge the values into the heartbeat; written at most once a second. Ends the work if a stop was requested.

        A heartbeat that cannot be written (a full disk) must not end hours of training: it warns.
        """
        if self.stop.requested:
            said["stopping"] = True
        try:
            self._heartbeat.beat(force=force, **said)
        except OSError as error:
            warnings.warn(f"{self.paths.heartbeat} cannot be written: {error.strerror}", RuntimeWarning, stacklevel=2)
        self._leave_if_loading()

    def checks_passed(self) -> None:
        """Config, data and model have been looked at: a parent process that waits for a detached child may exit."""
        self.beat(force=True, checks_passed=True)

    def log_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, with the unix time; flushed, so that readers see it at once."""
        line = json.dumps(finite({"time": time.time(), **row}), ensure_ascii=False, default=float)
        try:
            with self.paths.metrics.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            warnings.warn(f"{self.paths.metrics} cannot be written: {error.strerror}", RuntimeWarning, stacklevel=2)

    def install_signal_handlers(self) -> None:
        """TERM and INT ask for a stop; HUP is ignored when detached. Done on entering, and again before training.

        Handlers are set explicitly because a shell starts background jobs with SIGINT ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._handlers.install(signal.SIGTERM, self._on_stop_signal)
        self._handlers.install(signal.SIGINT, self._on_stop_signal)
        self._handlers.install(signal.SIGHUP, signal.SIG_IGN if self.detached else self._on_stop_signal)

    def training_started(self) -> None:
        """From now on a stop is a flag that the trainer polls; before, it ends the work at once."""
        self._leave_if_loading()
        self.install_signal_handlers()  # again: libraries (torch elastic) install their own while they load
        self._training = self._began = True
        run_guard.forget(self.paths)
        self.beat(force=True, checks_passed=True, training_started=True)

    def training_ended(self) -> None:
        """Everything that a resume needs is saved: from now on a stop ends the work at once again."""
        self._training = False
        self._leave_if_loading()

    def finish(self, state: EndState, reason: str = "", exit_code: int = 0, **facts: Any) -> None:
        """RunRecord how the attempt ended; only the first call counts. `facts`: last checkpoint, best metric …"""
        if self._record["ended"] is not None:
            return
        self._record["ended"] = {
            "state": state,
            "reason": reason,
            "exit_code": exit_code,
            "signal": self.stop.signal,
            "time": time.time(),
            "elapsed_seconds": round(self._heartbeat.elapsed_seconds, 3),
            "step": self._heartbeat.get("step"),
            **facts,
        }
        self._heartbeat.beat(force=True)
        self._write_record()

    def __enter__(self) -> Self:
        self.install_signal_handlers()
        self._waiting.release()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        stopped = self._stopped_instead_of(error)
        try:
            self._record_ending(stopped or error)
        except OSError as failure:  # a full disk, for example: the user must read what went wrong first
            if error is None:
                raise
            error.add_note(f"the ending could not be written to {self.paths.record}: {failure}")
        finally:
            if isinstance(error, RequestError) and not self._began:
                self._undo()
            self._handlers.restore()
            self._at_the_end.close()
        if stopped is not None and stopped is not error:
            raise stopped from None

    def _undo(self) -> None:
        """The request could not be carried out: the folder is left as it was found.

        A detached run that replaced nothing keeps its record, for whoever asks later.
        """
        if self.paths.replaced.is_dir():
            run_guard.bring_back(self.paths)
        elif not self.detached and self._record["attempt"] == 1:
            run_guard.remove_written(self.paths)

    def _stopped_instead_of(self, error: BaseException | None) -> BaseException | None:
        """The exception that a stop means, whatever a library made of it on its way out."""
        if error is None:  # it ended before the request could be carried out
            return None
        if self.stop.insisted and self.stop.signal == "SIGINT":
            return KeyboardInterrupt()
        if isinstance(error, _StopNow) or (self.stop.requested and not self._training):
            return StoppedError(self._stop_message(), f"continue with: movielora resume {self.call_name}")
        return None

    def _stop_message(self) -> str:
        if not self._training:
            return f"{self.name} stopped while {self._heartbeat.get('phase')}"
        return f"{self.name} stopped at once, without saving; its last checkpoint is kept"

    def _record_ending(self, error: BaseException | None) -> None:
        match error:
            case None:
                self.finish("finished")
            case StoppedError():
                self.finish("stopped", error.message, error.exit_code)
            case KeyboardInterrupt():
                self.finish("interrupted", "interrupted a second time, before a checkpoint was saved", 130)
            case SystemExit():
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
                self.finish("failed" if code else "finished", f"left with exit code {code}" if code else "", code)
            case MovieloraError():
                self.finish("failed", error.message, error.exit_code, next_step=error.next_step)
            case _:
                self._log_traceback(error)
                self.finish("failed", _in_one_line(error), 1)

    def _log_traceback(self, error: BaseException) -> None:
        """A detached run's traceback reaches its log by stderr; a foreground run keeps a copy for later."""
        if self.detached:
            return
        with self.paths.log.open("a", encoding="utf-8") as log:
            log.writelines(traceback.format_exception(error))

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            _as_if_unhandled(number)
            return
        now = time.monotonic()
        if self.stop.requested and now - self._asked_at < _SAME_REQUEST_SECONDS:
            return
        insisted, self._asked_at = self.stop.requested, now
        self.stop.requested = True
        self.stop.signal = signal.Signals(number).name
        if self._leaving:  # how it ended is being written: nothing is left to interrupt
            return
        if insisted:
            self.stop.insisted, self.stop.save = True, False
            raise _StopNow
        self.stop.save = wants_save(self.paths, self.run_id)
        if not self._training:
            raise _StopNow

    def _leave_if_loading(self) -> None:
        """A library may have swallowed what the handler raised; the request still holds."""
        if self.stop.requested and not self._training:
            raise _StopNow

    def _write_record(self) -> None:
        write_json_atomically(self.paths.record, self._record)


def _as_if_unhandled(number: int) -> None:
    """In a forked worker: TERM ends it as its parent expects; Ctrl-C is the parent's to answer."""
    if number != signal.SIGINT:
        end_by(number)


def _in_one_line(error: BaseException | None) -> str:
    """`ValueError: what it said (trainer.py:120)`: the reason of a bug, for `status`."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    said = (str(error).strip().splitlines() or [""])[0][:500]
    return f"{type(error).__name__}: {said}{place}"
