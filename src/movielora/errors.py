"""Every way movielora can fail on purpose, as one tree.

    MovieloraError          exit 1: the work failed
    ├── RequestError        exit 2: the request cannot be carried out; the user can fix it
    │   ├── ConfigError     a key, a value, an option
    │   ├── DataError       a file, a record, a split
    │   ├── ModelError      a base, an adapter, a tokenizer
    │   └── OutputError     a folder that cannot or must not be written
    ├── NoLiveRunError      exit 3: no such run, or it is not alive
    ├── StoppedError        exit 75: stopped on request, resumable
    │   └── InterruptedRunError  exit 130: asked a second time, so ended at once, without saving
    ├── ReaderGoneError     exit 0: whoever read the result (`| head`) has gone; nothing is wrong
    └── WorkError           exit 1: it began and failed

A message is one sentence that names the file, line and field; `next_step` is the command or edit that fixes it.
`cli.main` is the one place that turns these into a line on stderr and an exit code. Anything else that escapes is
a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import shlex
from os import PathLike
from typing import ClassVar


class MovieloraError(Exception):
    """The root: `str(error)` is one sentence, `next_step` (may be empty) says what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class RequestError(MovieloraError):
    exit_code = 2


class ConfigError(RequestError):
    """`problems` holds every problem found, so that a user fixes a file once."""

    def __init__(self, message: str, next_step: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, next_step)
        self.problems = problems


class DataError(RequestError):
    pass


class ModelError(RequestError):
    pass


class OutputError(RequestError):
    pass


class NoLiveRunError(MovieloraError):
    exit_code = 3


class StoppedError(MovieloraError):
    exit_code = 75


class InterruptedRunError(StoppedError):
    exit_code = 130


class ReaderGoneError(MovieloraError):
    exit_code = 0

    def __init__(self) -> None:
        super().__init__("the reader of standard output has gone")


class WorkError(MovieloraError):
    exit_code = 1


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its class if it says nothing.

    A heading, which ends with a colon, is followed by the first line below it.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def what_helps(error: OSError) -> str:
    """What a user can do about a file or folder that cannot be read or written, by the system's reason."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return "fix its permissions"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space"
        case errno.EROFS:
            return "its file system is mounted read-only: choose another place"
        case errno.EIO | errno.ENXIO | errno.ENODEV | errno.ESTALE | errno.ENOTCONN | errno.ETIMEDOUT:
            return "its disk or network share does not answer as it should: see to that, then run the same again"
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open: raise the limit with ulimit -n"
        case errno.ENAMETOOLONG | errno.ELOOP | errno.EISDIR | errno.ENOTDIR:
            return "choose another path"
    return "see to the reason given, then run the same again"


def shell_command(*words: str | PathLike[str]) -> str:
    """Join the words of a command as a shell reads them back: `movielora resume 'runs/my run'`.

    Every command that is printed with a path or a name in it is built here.
    """
    return shlex.join(str(word) for word in words)
