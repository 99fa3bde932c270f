"""Titles in natural order: MovieLens' own by hand, all of ml-latest-small, and properties that hold for any text."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movielora.sources.titles import may_be_as_given, natural_title, one_line, shown_title

# As MovieLens writes them, and as they are said. All but the last eight are in ml-latest-small.
MOVED = {
    "13th Warrior, The (1999)": "The 13th Warrior (1999)",
    "Topo, El (1970)": "El Topo (1970)",
    "Bug's Life, A (1998)": "A Bug's Life (1998)",
    "American Tail, An (1986)": "An American Tail (1986)",
    "Avventura, L' (Adventure, The) (1960)": "L'Avventura (The Adventure) (1960)",
    "Bear, The (Ours, L') (1988)": "The Bear (L'Ours) (1988)",
    "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)": (
        "The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo) (1966)"
    ),
    "Godzilla 1985: The Legend Is Reborn (Gojira) (Godzilla) (Return of Godzilla, The) (1984)": (
        "Godzilla 1985: The Legend Is Reborn (Gojira) (Godzilla) (The Return of Godzilla) (1984)"
    ),
    "Dream of Light (a.k.a. Quince Tree Sun, The) (Sol del membrillo, El) (1992)": (
        "Dream of Light (a.k.a. The Quince Tree Sun) (El Sol del membrillo) (1992)"
    ),
    "Crow, The: Wicked Prayer (2005)": "The Crow: Wicked Prayer (2005)",
    "Naked Gun: From the Files of Police Squad!, The (1988)": "The Naked Gun: From the Files of Police Squad! (1988)",
    "Seventh Seal, The (Sjunde inseglet, Det) (1957)": "The Seventh Seal (Det Sjunde inseglet) (1957)",
    "Green Butchers, The (Grønne slagtere, De) (2003)": "The Green Butchers (De Grønne slagtere) (2003)",
    "Passion of Anna, The (Passion, En) (1969)": "The Passion of Anna (En Passion) (1969)",
    "Impossible, The (Imposible, Lo) (2012)": "The Impossible (Lo Imposible) (2012)",
    "Vitelloni, I (a.k.a. The Young and the Passionate) (1953)": (
        "I Vitelloni (a.k.a. The Young and the Passionate) (1953)"
    ),
    "Misérables, Les (1995)": "Les Misérables (1995)",
    "Boot, Das (Boat, The) (1981)": "Das Boot (The Boat) (1981)",
    "Hip Hop Witch, Da (2000)": "Da Hip Hop Witch (2000)",
    "Matrix, The": "The Matrix",
    "Matrix, The (a.k.a. X, The) (1999)": "The Matrix (a.k.a. The X) (1999)",
    "Matrix, The (aka X, The)": "The Matrix (aka The X)",
    "(500) Days, The (2009)": "The (500) Days (2009)",
    "Last (and First), The (2009)": "The Last (and First) (2009)",
    "Atalante, L\u2019 (1934)": "L\u2019Atalante (1934)",
    "Auto da Compadecida, O (Dog's Will, A) (2000)": "O Auto da Compadecida (A Dog's Will) (2000)",
    "Aanslag, De(1986)": "De Aanslag(1986)",
}

UNCHANGED = (
    "Heat (1995)",
    "Me, Myself & Irene (2000)",
    "Girl, Interrupted (1999)",
    "Dancer, Texas Pop. 81 (1998)",
    "Strike! (a.k.a. All I Wanna Do, The Hairy Bird) (1998)",
    "Lust, Caution (Se, jie) (2007)",
    "Monsters, Inc. (2001)",
    "Good, the Bad and the Ugly (1966)",
    "The Matrix (1999)",
    "Die, Mommie, Die (2003)",
    "Live, Love, Die (2001)",
    "Yes, I (1999)",
    "You, Me, I (2000)",
    "Kiss, Kiss, Da (2010)",
    "Besieged (a.k.a. L' Assedio) (1998)",
    "Something, the (1990)",
    ", The (1999)",
    "(, The)",
    "Babylon 5",
    "",
)


@pytest.mark.parametrize(("given", "natural"), MOVED.items())
def test_articles_stand_before_their_names(given: str, natural: str) -> None:
    assert natural_title(given) == natural
    assert may_be_as_given(given)
    assert natural_title(natural) == natural
    assert (shown_title(given, "natural"), shown_title(given, "as_given")) == (natural, given)


@pytest.mark.parametrize("title", UNCHANGED)
def test_a_comma_without_an_article_behind_it_stays(title: str) -> None:
    assert natural_title(title) == title


def test_titles_are_one_line_whichever_way_they_are_shown() -> None:
    assert shown_title("Matrix,\n The  (1999)", "natural") == "The Matrix (1999)"
    assert shown_title("Matrix,\n The  (1999)", "as_given") == "Matrix, The (1999)"


@pytest.mark.shared
def test_all_titles_of_the_real_data(shared: Path) -> None:
    """The counts were read through by hand: each of the changed titles, and those that still end in a short word."""
    with (shared / "ml-latest-small" / "movies.csv").open(encoding="utf-8", newline="") as file:
        titles = [one_line(row["title"]) for row in csv.DictReader(file)]
    changed = {title: natural_title(title) for title in titles if natural_title(title) != title}
    assert (len(titles), len(changed)) == (9742, 1920)
    by_parts = {title: _by_parts(title) for title in titles}
    assert {title: natural for title, natural in by_parts.items() if natural != title} == changed


def _by_parts(title: str) -> str:
    """Another way: cut at parentheses and look at each part; enough for titles that have none inside another."""
    words = "The|A|An|La|Le|Les|Il|Lo|I|El|Los|Der|Die|Das|Une|Un|Una|De|Det|En|Da"
    parts = re.split(r"([()])", title)
    for place, part in enumerate(parts):
        also, _, name = part.rpartition("a.k.a. ")
        if found := re.fullmatch(rf"(.*?), ({words}|L')(: .*| ?)", name):
            between = "" if found[2] == "L'" else " "
            parts[place] = f"{also}{'a.k.a. ' if also or part != name else ''}{found[2]}{between}{found[1]}{found[3]}"
    return "".join(parts)


PIECES = st.sampled_from(
    [
        ", The",
        ", L'",
        ", A",
        ", Die",
        ", I",
        " (",
        ")",
        "(",
        "The ",
        "Die",
        "a.k.a. ",
        " (1999)",
        ": ",
        ", ",
        "X",
        "é",
        " ",
    ]
)
TITLES = st.lists(PIECES | st.text(max_size=3), max_size=10).map("".join).map(one_line)


@given(TITLES)
def test_it_is_idempotent_and_only_moves(title: str) -> None:
    """Only commas and spaces may go; every other character stays, and a title on one line stays on one line."""
    natural = natural_title(title)
    assert natural_title(natural) == natural
    assert _characters(natural) == _characters(title)
    assert natural.count(",") <= title.count(",")
    assert len(natural) <= len(title)
    assert one_line(natural) == natural


@given(TITLES, st.integers(1890, 2099))
def test_a_year_stays_at_the_end(title: str, year: int) -> None:
    assert natural_title(f"{title} ({year})").endswith(f"({year})")


def _characters(title: str) -> Counter[str]:
    return Counter(title.replace(",", "").replace(" ", ""))
