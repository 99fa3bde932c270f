"""One attempt of a run, from the inside: folder, lock, record, heartbeat, metrics, stop signals, ending."""

from __future__ import annotations

import json
import os
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from movielora.errors import InterruptedRunError, MovieloraError, RequestError, StoppedError, shell_command
from movielora.machine.process_settings import private_files, take_variable
from movielora.runs import run_guard
from movielora.runs.checkpoint_staging import remove_leftovers
from movielora.runs.folder import replaced
from movielora.runs.folder.publish import place_files
from movielora.runs.folder.written import FILES_KEY, WrittenByRun
from movielora.runs.log_file import is_run_log, log_heading
from movielora.runs.lookup.find import call_name
from movielora.runs.paths import RunPaths
from movielora.runs.record import new_record
from movielora.runs.run_guard import StartMode
from movielora.runs.status.heartbeat import HeartbeatWriter
from movielora.runs.stop.signals import StopNow, StopSignals
from movielora.runs.stop_request import StopRequest
from movielora.storage.atomic import finite, read_json, write_json_atomically
from movielora.storage.complete_folder import working_folder

# Set by `detach` for the child, which is otherwise the ordinary command again.
DETACHED_VARIABLE = "MOVIELORA_DETACHED"

EndState = Literal["finished", "stopped", "failed", "interrupted"]


class RunSession:
    """Use as `with RunSession.open(...) as session:`; leaving records how the attempt ended.

    Public: `paths`, `run_id`, `name`, `stop` (polled by the trainer), `detached`, `kept_config` (the name under which
    an edited config.yaml is kept, or "").
    """

    def __init__(self, paths: RunPaths, record: dict[str, Any], signals: StopSignals) -> None:
        self.paths = paths
        self.run_id: str = record["run_id"]
        self.name: str = record["name"]
        self.detached: bool = record["detached"]
        self.kept_config = ""
        self._record, self._signals = record, signals
        self._at_the_end = ExitStack()
        self._heartbeat = HeartbeatWriter(paths, self.run_id)
        self._began = False

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
        run_guard.refuse_live(paths)
        if not replaced.waits(paths):
            run_guard.refuse_foreign(paths, mode)  # before the lock leaves its file there
        with ExitStack() as undo:
            signals = undo.enter_context(StopSignals(paths, detached=detached))  # a stop waits for `__enter__`
            undo.callback(run_guard.take_lock(paths).release)
            undo.enter_context(private_files())
            replaced.bring_back(paths)  # if an overwriting was killed before it trained
            run_guard.refuse_occupied(paths, mode)
            previous = read_json(paths.record) if mode == "resume" else None
            record = new_record(paths, argv=argv, config=config, name=name, detached=detached, previous=previous)
            record[FILES_KEY] = WrittenByRun(paths).file_list() if previous else {}
            remove_leftovers(paths)
            if mode != "resume":
                undo.enter_context(replaced.set_aside_until_error(paths, keep_log=detached))
            paths.stop_request.unlink(missing_ok=True)
            session = cls(paths, record, signals)
            session._write_record()  # first: it proves the files that follow to be the run's
            session._heartbeat.beat(phase="starting")
            session.kept_config = run_guard.keep_edited_config(paths, config_yaml)
            with session.files() as folder:
                (folder / paths.config.name).write_text(config_yaml, encoding="utf-8")
            session._at_the_end = undo.pop_all()
        return session

    @property
    def stop(self) -> StopRequest:
        return self._signals.stop

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

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Yield a folder for files of the run; at the end run.json lists them and they take their places.

        Every file that a run writes once goes this way, or an overwriting could not tell it from somebody's own.
        Raises WorkError if something that the run did not write is in such a place, OSError.
        """
        with working_folder(self.paths.file_staging()) as folder:
            yield folder
            place_files(self.paths, folder, self._list_files)

    def _list_files(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        listed = self._record[FILES_KEY]
        former = {name: {"replaces": listed[name]} for name in entries if name in listed}
        self._record[FILES_KEY] = listed | {name: {**former.get(name, {}), **entry} for name, entry in entries.items()}
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
        self._signals.look()

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

    def training_started(self) -> None:
        """From now on a stop is a flag that the trainer polls; before, it ends the work at once."""
        self._signals.leave_if_loading()
        self._signals.install()  # again: libraries (torch elastic) install their own while they load
        self._signals.training = True
        replaced.forget(self.paths)
        self._began = True
        self.beat(force=True, checks_passed=True, training_started=True)

    def training_ended(self) -> None:
        """Everything that a resume needs is saved: from now on a stop ends the work at once again."""
        self._signals.training = False
        self._signals.leave_if_loading()

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
        self._signals.begin(self.run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.leaving = True
        stopped = self._stopped_instead_of(error)
        try:
            self._record_ending(stopped or error)
        except OSError as failure:  # a full disk, for example: the user must read what went wrong first
            if error is None:
                raise
            error.add_note(f"the ending could not be written to {self.paths.record}: {failure}")
        finally:
            with self._at_the_end:
                self._undo(error)
        if stopped is not None and stopped is not error:
            raise stopped from None

    def _undo(self, error: BaseException | None) -> None:
        """An attempt that never trained replaces nothing; one whose request was refused leaves the folder as it was.

        A detached run that replaced nothing keeps its record, for whoever asks later.
        """
        if self._began:
            return
        if back := self._given_back():
            replaced.bring_back(self.paths)
            if error is not None:
                error.add_note(back)  # shown with a bug's traceback
        elif isinstance(error, RequestError) and not self.detached and self._record["attempt"] == 1:
            replaced.remove_written(self.paths)

    def _stopped_instead_of(self, error: BaseException | None) -> BaseException | None:
        """The exception that a stop means, whatever a library made of it on its way out."""
        if error is None:  # it ended before the request could be carried out
            return None
        if self.stop.insisted and self.stop.signal == "SIGINT":
            said = f"interrupted a second time, without saving; {self._given_back() or self._kept_checkpoint()}"
            return InterruptedRunError(said, self._next_command())
        if isinstance(error, StopNow) or (self.stop.requested and not self._signals.training):
            return StoppedError(self._stop_message(), self._next_command())
        return None

    def _stop_message(self) -> str:
        if not self._signals.training:
            back = self._given_back()
            return f"while {self._heartbeat.get('phase')}{back and f'; {back}'}"
        return f"at once, without saving; {self._given_back() or self._kept_checkpoint()}"

    def _kept_checkpoint(self) -> str:
        steps = [step for step, _ in self.paths.checkpoints()]
        return f"its checkpoint-{steps[-1]} is kept" if steps else "it has no checkpoint yet"

    def _given_back(self) -> str:
        return "" if self._began else replaced.returning(self.paths)

    def _next_command(self) -> str:
        if self._given_back():
            return shell_command("movielora", "status", self.paths.root)
        return shell_command("movielora", "resume", self.call_name)

    def _record_ending(self, error: BaseException | None) -> None:
        match error:
            case None:
                self.finish("finished")
            case InterruptedRunError():
                self.finish("interrupted", error.message, error.exit_code)
            case StoppedError():
                self.finish("stopped", error.message, error.exit_code)
            case KeyboardInterrupt():  # where no handler could be set, outside the main thread
                self.finish("interrupted", "interrupted", 130)
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
        has_heading = self.paths.log.is_file() and is_run_log(self.paths.log)
        with self.paths.log.open("a", encoding="utf-8") as log:
            log.writelines([*([] if has_heading else [log_heading()]), *traceback.format_exception(error)])

    def _write_record(self) -> None:
        write_json_atomically(self.paths.record, self._record)


def _in_one_line(error: BaseException | None) -> str:
    """`ValueError: what it said (trainer.py:120)`: the reason of a bug, for `status`."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    said = (str(error).strip().splitlines() or [""])[0][:500]
    return f"{type(error).__name__}: {said}{place}"
