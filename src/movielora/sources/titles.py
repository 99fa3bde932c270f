"""Film titles as text: on one line, and with the article where it is said."""

from __future__ import annotations

import re
from typing import Literal

Titles = Literal["natural", "as_given"]

# The articles of the languages that MovieLens moves behind a title, English, French, Italian, Spanish, Portuguese,
# Catalan, German, Dutch, the Scandinavian ones; and slang (`Da`). `L'` stands before its word without a space.
_ARTICLES = (
    "The|A|An|Le|La|Les|Un|Une|Il|Lo|Gli|I|Uno|Una|El|Los|Las|Unos|Unas|O|Os|As|Um|Uma|Els|"
    "Der|Die|Das|Ein|Eine|De|Het|Een|Den|Det|En|Et|Ett|Da"
)
# A comma, an article, and then nothing more of the name: the end, a parenthesis or the colon of a part's own title.
_MOVED = re.compile(rf",\s*(?P<article>{_ARTICLES}|L['\u2019])(?=\s*(?:[():]|$))")
# Articles that also end a name as words ("Live, Love, Die"): left where they are behind a name that has a comma itself.
_WORDS_TOO = frozenset({"i", "die", "da", "en", "et", "o", "os", "as"})
# What may stand in a parenthesis before another name of the film.
_ALSO = re.compile(r"\s*(?:a\.?k\.?a\.?:?\s+)?", re.IGNORECASE)


def one_line(title: str) -> str:
    """A title without line breaks, tabs or doubled spaces."""
    return " ".join(title.split())


def shown_title(title: str, titles: Titles) -> str:
    """A title as prompts show it, always on one line: `as_given`, or in `natural` order."""
    return natural_title(one_line(title)) if titles == "natural" else one_line(title)


def natural_title(title: str) -> str:
    """A one-line title with its articles before their names: `The Postman (Il Postino) (1994)` for MovieLens'
    `Postman, The (Postino, Il) (1994)`.

    Names in parentheses are put in order by themselves. Only a comma goes, and the article and spaces move; a title in
    natural order comes back as it is. An article that its name already begins with stays (`Die, Mommie, Die`).
    """
    if "," not in title:  # most titles, and all of a million are asked
        return title
    looked_to = 0
    while found := _MOVED.search(title, looked_to):
        start, article = _name_start(title, found.start()), found["article"]
        name = title[start : found.start()].rstrip()
        if not name or _is_of_the_name(article.casefold(), name.casefold()):
            looked_to = found.end()
            continue
        space = "" if article.startswith("L") and not article[-1].isalpha() else " "
        title, looked_to = f"{title[:start]}{article}{space}{name}{title[found.end() :]}", 0
    return title


def may_be_as_given(text: str) -> bool:
    """Whether `text`, of one title or many, has an article behind a comma as MovieLens writes it: a quick look."""
    return "," in text and _MOVED.search(text) is not None


def _is_of_the_name(article: str, name: str) -> bool:
    """Whether the word behind the comma is no article of `name`, both in small letters: the name begins with it, or it
    is a word of an enumeration, or `I`, which is Italian's where a plural in -i is (`Vitelloni, I`, not `Yes, I`)."""
    if name.split()[0].rstrip(",") == article or (article in _WORDS_TOO and "," in name):
        return True
    return article == "i" and not any(word.endswith("i") for word in name.split())


def _name_start(title: str, end: int) -> int:
    """Where the name that ends at `end` starts: at the title's start, or in the parenthesis that is open there."""
    closed = 0
    for place in range(end - 1, -1, -1):
        if title[place] == ")":
            closed += 1
        elif title[place] == "(" and not closed:
            also = _ALSO.match(title, place + 1, end)
            return also.end() if also else place + 1
        elif title[place] == "(":
            closed -= 1
    return 0
