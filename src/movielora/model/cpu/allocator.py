"""How the C library keeps freed memory. Benchmark: `bench/measure_memory.py`."""

from __future__ import annotations

import ctypes
import platform
from contextlib import ExitStack

from movielora.machine.process_settings import set_once

# <malloc.h>: M_MMAP_THRESHOLD, blocks from this size on are mapped one by one.
_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 20
# DEFAULT_MMAP_THRESHOLD_MAX of 64-bit glibc: where its own rule ends once large blocks have been freed.
_USUAL_BYTES = 32 << 20


def return_freed_memory() -> bool:
    """Make glibc give every freed block of 1 MiB or more back to the system at once; False if it is not glibc.

    By itself glibc raises the size from which it does so to 32 MiB as it sees larger blocks freed. The activations
    of a training on the CPU lie below that, and fragment its heap: a step of a two-layer Qwen3 shape grew from 1.5 to
    2.7 GB over six steps, and stays at 1.6 GB with this, at the same speed. Undone at the end of the recipe.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    set_once("returned memory", _set)
    return True


def _set(undo: ExitStack) -> None:
    mallopt = ctypes.CDLL(None).mallopt
    if mallopt(_MMAP_THRESHOLD, _THRESHOLD_BYTES):
        undo.callback(mallopt, _MMAP_THRESHOLD, _USUAL_BYTES)
