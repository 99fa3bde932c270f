"""Streams that cannot show every character: a terminal or a log in Latin-1 or ASCII gets a twin of it, or its number.

The standard streams belong to the process, so this is called once, as the program starts (`cli.main`).
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

_HANDLER = "movielora.twins"
_TWINS = {
    **dict.fromkeys("−–—─━╌┄", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("├└┌┐┘┤┬┴┼╭╮╰╯", "+"),
    **dict.fromkeys("●★•", "*"),
    **dict.fromkeys("■█", "#"),
    **dict(zip("▁▂▃▄▅▆▇", "_.:-=+*", strict=True)),
    **dict(zip("‘’“”⟨⟩", "''\"\"<>", strict=True)),
    "░": ".",
    "▏": "|",
    "·": ".",
    "…": "...",
    "→": "->",
    "×": "x",
    "✓": "+",
    "✗": "x",
    "√": "sqrt ",
    "°": "",
    "≈": "~",
    "≤": "<=",
    "≥": ">=",
    "±": "+/-",
    "½": "1/2",
    "²": "^2",
    "ᵀ": "^T",
}
# The frames of rich's spinner are braille patterns.
_BRAILLE, _SPINNER = range(0x2800, 0x2900), "|/-\\"


def accept_every_character() -> None:
    """Let standard output and standard error take any text: what they cannot encode becomes a twin or `\\u4e03`.

    Standard input, read by `doctor --explain -`, gets a replacement character for what it cannot decode. An output
    that is closed (`>&-`) is replaced by one that nobody reads.
    """
    codecs.register_error(_HANDLER, _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")


def shows_unicode(stream: TextIO) -> bool:
    """Whether `stream` can encode every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_twin, error.object[error.start : error.end])), error.end


def _twin(character: str) -> str:
    if ord(character) in _BRAILLE:
        return _SPINNER[ord(character) % len(_SPINNER)]
    return _TWINS.get(character, character.encode("ascii", "backslashreplace").decode("ascii"))
