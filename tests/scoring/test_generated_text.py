"""Generated text becomes Yes, No or no answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.scoring.generated_text import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", True),
        ("No", False),
        (" yes.", True),
        ("NO!", False),
        ("**Yes**", True),
        ('"No"', False),
        ("\n\nYes<|im_end|>", True),
        ("_No_", False),
        ("1. Yes", True),
        ("Answer: No", False),
        ("The user will say yes", True),
        ("Yes, they will; no doubt about it", True),
        ("No. Yes would be a surprise", False),
        ("Yes\nNo", True),
        ("I know nothing", None),
        ("Nothing", None),
        ("Yesterday was nobler", None),
        ("The Assistant (2019)", None),
        ("The answer is yes or no", None),
        ("Perhaps no, perhaps yes", None),
        ("no-one knows", None),
        ("A yes-man", None),
        ("A no-brainer, so yes", True),
        ("", None),
        ("   ", None),
        ("Ja", None),
        ("Nö", None),
        ("ÿes", None),
        ("no1", None),
        ("no - they will not", False),
        ("Yes-", True),
    ],
)
def test_reads_the_answer(text: str, answer: bool | None) -> None:
    assert extract_answer(text) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\n\n</think>\n\nNo", False),
        ("<think>Yes, surely</think>No", False),
        ("<think>no</think><think>no</think>Yes", True),
        ("<think>Yes, because", None),
        ("Yes <think>but then", None),
        ("<think>a</think>Yes<think>", None),
        ("<think>yes</think>", None),
        ("leftover yes</think>No", False),
    ],
)
def test_only_what_follows_the_last_closed_thinking_counts(text: str, answer: bool | None) -> None:
    assert extract_answer(text) is answer


@given(st.text())
def test_never_fails_and_thinking_never_leaks(text: str) -> None:
    assert extract_answer(text) in (True, False, None)
    assert extract_answer(f"<think>{text}</think>No") is False
