"""The answer in words, from rules a reader can check.

AUC decides, since it needs no threshold. Against the base, and against the strongest simple baseline:

    beats   the whole 95% interval of the paired difference lies above 0
    loses   the whole interval lies below 0
    level   it holds 0

| against the base | against the baseline | outcome           |
|------------------|----------------------|-------------------|
| loses            | any                  | `worse`           |
| level            | any                  | `no_better`       |
| beats            | loses or level       | `not_needed`      |
| beats            | beats                | `earns_its_keep`  |
| beats            | none was computed    | `no_baseline`     |

Scores from elsewhere that are compared without a base are held against the baseline alone.

Below 100 rows or 10 users, or where AUC has no interval (a single class), the outcome is `undecided`, whatever the
figures say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_ROWS = 100
MIN_UNITS = 10

_BEATS, _LOSES, _LEVEL, _NONE = "beats", "loses", "level", "none"


@dataclass(frozen=True)
class Difference:
    """Adapter minus another model in AUC, with its 95% interval; None where the data does not define it."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of_auc(cls, differences: Mapping[str, Any]) -> Difference:
        """From `{"auc": {"value", "low", "high"}, …}` of comparison.json."""
        auc = differences["auc"]
        return cls(auc["value"], auc["low"], auc["high"])

    @property
    def standing(self) -> str:
        if self.low is None or self.high is None:
            return _NONE
        return _BEATS if self.low > 0 else _LOSES if self.high < 0 else _LEVEL

    def words(self, *, first: bool) -> str:
        """`AUC +.21, 95% .18 to .24`; the 95% is said once."""
        if self.value is None or self.low is None or self.high is None:
            return "AUC undefined"
        return f"AUC {signed(self.value)}, {'95% ' if first else ''}{short(self.low)} to {short(self.high)}"


@dataclass(frozen=True)
class Verdict:
    sentence: str
    outcome: str
    against_base: str
    against_baseline: str


def decide(
    *,
    adapter: str,
    base: str,
    baseline: str | None,
    against_base: Difference,
    against_baseline: Difference | None,
    rows: int,
    units: int,
    unit: str,
) -> Verdict:
    """`adapter` and `base` as they are spoken of ("the adapter"), `baseline` by its name, None where there is none."""
    base_standing = against_base.standing
    baseline_standing = against_baseline.standing if against_baseline else _NONE
    if base_standing == _NONE or rows < MIN_ROWS or units < MIN_UNITS:
        sentence = _undecided(against_base, adapter, base, rows, units, unit)
        return Verdict(_capital(sentence), "undecided", base_standing, baseline_standing)
    if baseline == base:
        return _against_baseline_alone(adapter, base, against_base)
    outcome = _outcome(base_standing, baseline_standing)
    first = f"{adapter} {_OVER_BASE[base_standing]} {base} ({against_base.words(first=True)})"
    second = ""
    if against_baseline is not None and baseline is not None:
        joint = _JOINTS[base_standing == _BEATS, baseline_standing]
        second = f" {joint} the strongest simple baseline, {baseline} ({against_baseline.words(first=False)})"
    return Verdict(_capital(f"{first}{second}: {_MEANING[outcome]}."), outcome, base_standing, baseline_standing)


_OVER_BASE = {_BEATS: "beats", _LOSES: "loses to", _LEVEL: "is not clearly better than"}
_JOINTS = {
    (True, _BEATS): "and",
    (True, _LEVEL): "but not",
    (True, _LOSES): "but loses to",
    (True, _NONE): "; not compared with",
    (False, _BEATS): "though it beats",
    (False, _LEVEL): "nor than",
    (False, _LOSES): "and loses to",
    (False, _NONE): "; not compared with",
}
_MEANING = {
    "worse": "do not use it",
    "no_better": "on this data the training cannot be seen to help",
    "not_needed": "on this data you do not need it yet",
    "earns_its_keep": "on this data it earns its keep",
    "no_baseline": "whether it beats a simple baseline is unknown",
}


def _outcome(base: str, baseline: str) -> str:
    if base == _LOSES:
        return "worse"
    if base == _LEVEL:
        return "no_better"
    return {_BEATS: "earns_its_keep", _NONE: "no_baseline"}.get(baseline, "not_needed")


def _against_baseline_alone(adapter: str, baseline: str, difference: Difference) -> Verdict:
    """Scores made elsewhere have no base: the strongest baseline is all they are held against."""
    standing = difference.standing
    outcome = _outcome(_BEATS, standing)
    sentence = (
        f"{adapter} {_OVER_BASE[standing]} the strongest simple baseline, {baseline} "
        f"({difference.words(first=True)}): {_MEANING[outcome]}."
    )
    return Verdict(_capital(sentence), outcome, standing, standing)


def _undecided(difference: Difference, adapter: str, base: str, rows: int, units: int, unit: str) -> str:
    counted = f"{rows:,} {'row' if rows == 1 else 'rows'}"
    if unit == "users":
        counted += f" of {units:,} {'user' if units == 1 else 'users'}"
    if difference.value is None:
        return f"nothing can be said of {adapter} against {base}: AUC needs both answers among the {counted}."
    if difference.standing == _NONE:
        point = signed(difference.value)
        return f"{counted} carry no interval: {adapter} minus {base} is AUC {point}, how sure is open."
    return f"{counted} are too few to say: {adapter} minus {base} is {difference.words(first=True)}."


def short(value: float) -> str:
    """`.18`, `−.03`, `1.00`: two decimals, a true minus, no zero before the point."""
    text = f"{abs(value):.2f}"
    text = text[1:] if text.startswith("0.") else text
    return f"−{text}" if round(value, 2) < 0 else text


def signed(value: float) -> str:
    text = short(value)
    return text if text.startswith("−") else f"+{text}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
