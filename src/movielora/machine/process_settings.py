"""Settings that belong to the whole process: who changes them, and how each is undone.

`movielora demo` and programs that use the library run several recipes in one process, so nothing that one of them sets
may reach the next. These files change such settings, and no other file does (a test looks):

setting                                changed in                      as before at the end of
environment variables                  this file                       the recipe; those that libraries set, too
umask                                  this file                       the run's session
signal handlers, signals that wait     machine/signals.py              the run's session, or the block
warning filters, log levels, bars      machine/library_output.py       the recipe
Python's cycle collector               machine/garbage_collector.py    the block
glibc's allocator (mallopt)            model/cpu/allocator.py          the recipe: what glibc's own rule ends at
working directory                      commands/training/resume.py     the block
errors of the standard streams         console/encoding.py             never: set once, as the program starts
blank variables that name folders      this file                       never: taken out as the program starts

A recipe is decorated with `settings_undone`, which also hides the variables of launchers from libraries and children:
a recipe is one process. Which GPU CUDA sees cannot be undone: it reads its variable once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from movielora.machine.launcher import launcher_variables, refuse_several


@dataclass
class _Scope:
    """`names` of the changes made in it, and how they are undone; `hidden`: the launcher variables taken out."""

    names: set[str] = field(default_factory=set)
    hidden: list[str] = field(default_factory=list)
    undo: ExitStack = field(default_factory=ExitStack)


# Where the Hugging Face libraries, torch, Triton and Python keep their files; `~` without HOME is the system's record.
_FOLDERS = (
    "HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE", "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE", "HF_TOKEN_PATH", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME", "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR",
)  # fmt: skip

# The outermost lasts as long as the process: for programs that call less than a recipe.
_scopes = [_Scope()]
# Messages from a parent process, which are read once and must not come back.
_taken: set[str] = set()


@contextmanager
def settings_undone(*, one_process: bool = True) -> Iterator[None]:
    """What is changed inside by `set_once` and in the environment is as before at the end. Also a decorator.

    Launcher variables are hidden inside. Raises RequestError if a launcher has started several processes, but for a
    recipe that reports it (`one_process=False`).
    """
    before = dict(os.environ)
    if one_process:
        refuse_several(before)
    scope = _Scope(hidden=launcher_variables(before))
    _scopes.append(scope)
    try:
        for name in scope.hidden:
            del os.environ[name]
        with scope.undo:
            yield
    finally:
        _scopes.remove(scope)
        _restore_environment(before)


def set_once(name: str, change: Callable[[ExitStack], None]) -> None:
    """Make `change` unless it is in effect already; it registers with the stack how it is undone."""
    if not any(name in scope.names for scope in _scopes):
        _scopes[-1].names.add(name)
        change(_scopes[-1].undo)


def hidden_variables() -> list[str]:
    """The launcher variables that the recipes now running were started with, and do not follow; sorted."""
    return sorted({name for scope in _scopes for name in scope.hidden})


def set_default_variable(name: str, value: str) -> None:
    """Set an environment variable that the user has not set."""
    os.environ.setdefault(name, value)


def forget_blank_folders() -> None:
    """Take out variables that name a folder and are blank: libraries would read and write in `/` or where one is.

    Before the first of these libraries is loaded, because they read their variables once.
    """
    for name in _FOLDERS:
        if name in os.environ and not os.environ[name].strip():
            del os.environ[name]


def take_variable(name: str) -> str:
    """An environment variable that is a message to this process only: read, and removed for its children."""
    _taken.add(name)
    return os.environ.pop(name, "")


@contextmanager
def private_files() -> Iterator[None]:
    """Every file that is made inside, the libraries' included, is readable by this user only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value and name not in _taken:
            os.environ[name] = value
