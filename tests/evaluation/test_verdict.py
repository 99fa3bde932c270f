"""The verdict's rules, one by one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.evaluation.comparison.verdict import Difference, Verdict, decide
from movielora.evaluation.saved.written_figures import figure, short, signed, signed_figure

BEATS = Difference(0.21, 0.18, 0.24)
LEVEL = Difference(-0.01, -0.03, 0.01)
LOSES = Difference(-0.05, -0.08, -0.02)


def verdict(base: Difference, baseline: Difference | None, rows: int = 8965, units: int = 610) -> Verdict:
    return decide(
        candidate="the adapter",
        reference="the base",
        baseline=None if baseline is None else "the history's like-share",
        against_reference=base,
        against_baseline=baseline,
        rows=rows,
        units=units,
        unit="users",
    )


@pytest.mark.parametrize(
    ("base", "baseline", "outcome", "ends"),
    [
        (BEATS, BEATS, "earns_its_keep", "on this data it is worth using."),
        (BEATS, LEVEL, "not_needed", "on this data you do not need it yet."),
        (BEATS, LOSES, "not_needed", "on this data you do not need it yet."),
        (BEATS, None, "no_baseline", "whether it beats a simple baseline is unknown."),
        (LEVEL, BEATS, "no_better", "on this data it is no clear improvement."),
        (LEVEL, LOSES, "no_better", "on this data it is no clear improvement."),
        (LOSES, BEATS, "worse", "do not use it."),
        (LOSES, None, "worse", "do not use it."),
    ],
)
def test_the_table_of_rules(base: Difference, baseline: Difference | None, outcome: str, ends: str) -> None:
    found = verdict(base, baseline)
    assert found.outcome == outcome
    assert found.sentence.endswith(ends)


def test_the_usual_sentence() -> None:
    assert verdict(BEATS, LEVEL).sentence == (
        "The adapter beats the base (AUC +.21, 95% .18 to .24) but not the strongest simple baseline, the history's "
        "like-share (AUC −.01, −.03 to .01): on this data you do not need it yet."
    )
    assert "is not clearly better than the base" in verdict(LEVEL, LEVEL).sentence
    assert "nor than the strongest simple baseline" in verdict(LEVEL, LEVEL).sentence


def test_an_interval_that_touches_zero_is_level() -> None:
    assert Difference(0.1, 0.0, 0.2).standing == "level"
    assert Difference(-0.1, -0.2, 0.0).standing == "level"


@pytest.mark.parametrize(("rows", "units"), [(99, 50), (5000, 9)])
def test_few_rows_or_users_decide_nothing(rows: int, units: int) -> None:
    found = verdict(BEATS, BEATS, rows, units)
    assert found.outcome == "undecided"
    assert found.sentence.startswith(f"{rows:,} rows of {units} users are too few to decide")


def test_one_class_and_one_row() -> None:
    nothing = Difference(None, None, None)
    assert verdict(nothing, nothing).outcome == "undecided"
    assert "AUC needs both answers" in verdict(nothing, nothing).sentence
    assert verdict(nothing, None, 1, 1).sentence.endswith("among the 1 row of 1 user.")


def test_figures_are_short_and_keep_their_sign_near_zero() -> None:
    assert [short(0.184), short(-0.031), short(1.0), short(0.006)] == [".18", "−.03", "1.00", ".006"]
    assert [short(-0.004), short(-0.0004), short(0.000001)] == ["−.004", "−.0004", ".000001"]
    assert [short(0.0), short(-0.0), signed(0.0), signed(-0.0)] == [".00"] * 4
    assert [signed(0.2), signed(-0.2), signed(0.004)] == ["+.20", "−.20", "+.004"]
    assert [signed_figure(0.0), signed_figure(-0.0004), figure(-0.0004), figure(0.0004)] == [
        ".000", "−.0004", "−.0004", ".000"
    ]  # fmt: skip


_NUMBER = st.floats(-1, 1) | st.floats(-0.01, 0.01)
_SPAN = st.lists(_NUMBER.map(lambda value: round(value, 6)), min_size=3, max_size=3).map(sorted)
_SAID = re.compile(r"AUC ([+−]?\d*\.\d+), (?:95% )?([+−]?\d*\.\d+) to ([+−]?\d*\.\d+)")


@pytest.mark.parametrize(("rows", "differences"), [(8965, 2), (60, 1)], ids=["decided", "too few to decide"])
@given(_SPAN, _SPAN)
def test_every_number_of_a_verdict_has_its_sign(
    rows: int, differences: int, base: list[float], baseline: list[float]
) -> None:
    """Read back from the sentence, each number has the sign of its figure and is within half of its last digit."""
    against = [Difference(value, low, high) for low, value, high in (base, baseline)]
    said = _SAID.findall(verdict(*against, rows).sentence)
    assert len(said) == differences
    for words, (low, value, high) in zip(said, (base, baseline)[:differences], strict=True):
        assert words[0].startswith("+") == (value > 0)
        for word, number in zip(words, (value, low, high), strict=True):
            read = float(word.replace("−", "-"))
            assert (read > 0, read < 0) == (number > 0, number < 0)
            assert abs(read - number) <= (0.005 if abs(number) >= 0.01 else 0.0005) + 1e-9
            assert word.strip("+−").strip(".0") or word == ".00"


def test_a_name_that_a_user_gave_is_not_changed() -> None:
    found = decide(
        candidate="seed1", reference="Seed0", baseline=None, against_reference=LOSES, against_baseline=None, rows=500,
        units=40, unit="users",
    )  # fmt: skip
    assert found.sentence.startswith("seed1 loses to Seed0 (AUC −.05")


def test_external_scores_are_compared_with_the_baseline_only() -> None:
    found = decide(
        candidate="recsys",
        reference="the history's like-share",
        baseline="the history's like-share",
        against_reference=LEVEL,
        against_baseline=LEVEL,
        rows=500,
        units=40,
        unit="users",
    )
    assert found.outcome == "not_needed"
    assert found.sentence == (
        "recsys is not clearly better than the strongest simple baseline, the history's like-share (AUC −.01, 95% "
        "−.03 to .01): on this data you do not need it yet."
    )
