"""Film titles as text."""

from __future__ import annotations


def one_line(title: str) -> str:
    """A title without line breaks, tabs or doubled spaces."""
    return " ".join(title.split())
