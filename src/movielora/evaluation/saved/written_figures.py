"""Write figures for people: no zero before the point, a true minus, and the sign that the number has.

The page's script (`report/page/basis.js`) writes them by the same rules.
"""

from __future__ import annotations

# comparison.json rounds to these: a number that is not 0 has one of them.
_MOST_DIGITS = 6


def figure(value: float | None, digits: int = 3) -> str:
    """`.802`, `1.204`, `−.026`; `–` if the data does not define it."""
    if value is None:
        return "–"
    return short(value, digits) if value < 0 else _plain(value, digits)


def short(value: float, digits: int = 2) -> str:
    """A difference, or an end of its interval: `.18`, `−.03`, `1.00`, and near 0 with one digit more (`−.004`) or as
    many as it takes to show that it is not 0."""
    shown = digits if abs(value) >= 10**-digits else digits + 1
    while shown < _MOST_DIGITS and value and not round(value, shown):
        shown += 1
    text = _plain(abs(value), shown if round(value, shown) else digits)
    return f"−{text}" if round(value, shown) < 0 else text


def signed(value: float, digits: int = 2) -> str:
    """`short`, with a plus above 0: `+.21`, `−.004`, `.00`."""
    text = short(value, digits)
    return f"+{text}" if round(value, _MOST_DIGITS) > 0 else text


def signed_figure(value: float | None, digits: int = 3) -> str:
    """`signed` for a table: `–` if the data does not define it."""
    return "–" if value is None else signed(value, digits)


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if text.startswith("0.") else text
