"""Write the verdict: one sentence, by rules that a reader can check.

AUC decides, since it needs no threshold. The candidate is compared with the reference and with the strongest simple
baseline:

    beats   the whole 95% interval of the paired difference is above 0
    loses   the whole interval is below 0
    level   it holds 0

| against the reference | against the baseline | outcome           |
|-----------------------|----------------------|-------------------|
| loses                 | any                  | `worse`           |
| level                 | any                  | `no_better`       |
| beats                 | loses or level       | `not_needed`      |
| beats                 | beats                | `earns_its_keep`  |
| beats                 | none was computed    | `no_baseline`     |

If the reference is that baseline (external scores without a model), only the second comparison counts.

Below 100 rows or 10 users, or if AUC has no interval (a single class), the outcome is `undecided`, whatever the
figures say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from movielora.evaluation.saved.written_figures import short, signed

MIN_ROWS = 100
MIN_UNITS = 10

_BEATS, _LOSES, _LEVEL, _NONE = "beats", "loses", "level", "none"


@dataclass(frozen=True)
class Difference:
    """Candidate minus another column in AUC, with its 95% interval; None if the data does not define it."""

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
        """`beats`, `loses`, `level`, or `none` without an interval."""
        if self.low is None or self.high is None:
            return _NONE
        return _BEATS if self.low > 0 else _LOSES if self.high < 0 else _LEVEL

    def words(self, *, first: bool) -> str:
        """`AUC +.21, 95% .18 to .24`; only the `first` of two names the 95%."""
        if self.value is None or self.low is None or self.high is None:
            return "AUC undefined"
        return f"AUC {signed(self.value)}, {'95% ' if first else ''}{short(self.low)} to {short(self.high)}"


@dataclass(frozen=True)
class Verdict:
    """The conclusion of a comparison: a sentence for people, and its `outcome` as a word for programs.

    `against_reference` and `against_baseline` are how the candidate did against each, as a word.
    """

    sentence: str
    outcome: str
    against_reference: str
    against_baseline: str


def decide(
    *,
    candidate: str,
    reference: str,
    baseline: str | None,
    against_reference: Difference,
    against_baseline: Difference | None,
    rows: int,
    units: int,
    unit: str,
) -> Verdict:
    """Apply the rules. Names are as inside a sentence ("the adapter"); `baseline` is None if there is none."""
    standing = against_reference.standing
    baseline_standing = against_baseline.standing if against_baseline else _NONE
    if standing == _NONE or rows < MIN_ROWS or units < MIN_UNITS:
        sentence = _undecided(against_reference, candidate, reference, rows, units, unit)
        return Verdict(_capital(sentence), "undecided", standing, baseline_standing)
    if baseline == reference:
        return _against_baseline_only(candidate, baseline, against_reference)
    outcome = _outcome(standing, baseline_standing)
    first = f"{candidate} {_OVER[standing]} {reference} ({against_reference.words(first=True)})"
    second = ""
    if against_baseline is not None and baseline is not None:
        joint = _JOINTS[standing == _BEATS, baseline_standing]
        second = f" {joint} the strongest simple baseline, {baseline} ({against_baseline.words(first=False)})"
    return Verdict(_capital(f"{first}{second}: {_MEANING[outcome]}."), outcome, standing, baseline_standing)


_OVER = {_BEATS: "beats", _LOSES: "loses to", _LEVEL: "is not clearly better than"}
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
    "no_better": "on this data it is no clear improvement",
    "not_needed": "on this data you do not need it yet",
    "earns_its_keep": "on this data it is worth using",
    "no_baseline": "whether it beats a simple baseline is unknown",
}


def _outcome(reference: str, baseline: str) -> str:
    if reference == _LOSES:
        return "worse"
    if reference == _LEVEL:
        return "no_better"
    return {_BEATS: "earns_its_keep", _NONE: "no_baseline"}.get(baseline, "not_needed")


def _against_baseline_only(candidate: str, baseline: str, difference: Difference) -> Verdict:
    """External scores have no base: they are compared with the strongest baseline only."""
    standing = difference.standing
    outcome = _outcome(_BEATS, standing)
    sentence = (
        f"{candidate} {_OVER[standing]} the strongest simple baseline, {baseline} "
        f"({difference.words(first=True)}): {_MEANING[outcome]}."
    )
    return Verdict(_capital(sentence), outcome, standing, standing)


def _undecided(difference: Difference, candidate: str, reference: str, rows: int, units: int, unit: str) -> str:
    counted = f"{rows:,} {'row' if rows == 1 else 'rows'}"
    if unit == "users":
        counted += f" of {units:,} {'user' if units == 1 else 'users'}"
    if difference.value is None:
        return f"{candidate} cannot be compared with {reference}: AUC needs both answers among the {counted}."
    if difference.standing == _NONE:
        point = signed(difference.value)
        return f"{counted} allow no interval: {candidate} minus {reference} is AUC {point}, with unknown uncertainty."
    return f"{counted} are too few to decide: {candidate} minus {reference} is {difference.words(first=True)}."


def _capital(sentence: str) -> str:
    """A sentence begins with a capital, but a name that a user gave stays as it is."""
    return f"The {sentence[4:]}" if sentence.startswith("the ") else sentence
