"""Read Yes or No out of generated text.

Only `compare --mode generate` needs this, to check that free decoding agrees with the scored logits.
"""

from __future__ import annotations

import re

_THINKING_OPENS, _THINKING_ENDS = "<think>", "</think>"
# A word joined by a letter, figure, apostrophe or hyphen is another word: "know", "no-one", "yes'm". Markdown's
# underscores are not part of a word, so `\b` would not do.
_YES_OR_NO = re.compile(r"(?<![^\W_])(?<!['’-])(yes|no)(?![^\W_]|['’-]\w)", re.IGNORECASE)
# What may stand before a leading answer: blanks, quotes, markdown, punctuation. No letters or figures.
_LEADING_MARKS = re.compile(r"[\W_]*")


def extract_answer(text: str) -> bool | None:
    """True for Yes, False for No, None if the text does not answer.

    Only what follows the last `</think>` counts; a thinking block that was opened and not closed has no answer. A
    leading yes or no decides. Otherwise exactly one of the two words must be present. Whole words, any case: "know"
    is not "no".
    """
    answer = text.rpartition(_THINKING_ENDS)[2]
    if _THINKING_OPENS in answer:
        return None
    found = [(match.start(), match[1].lower()) for match in _YES_OR_NO.finditer(answer)]
    if not found:
        return None
    first_at, first_word = found[0]
    leading = _LEADING_MARKS.match(answer)
    words = {word for _, word in found}
    if (leading is not None and leading.end() == first_at) or len(words) == 1:
        return first_word == "yes"
    return None
