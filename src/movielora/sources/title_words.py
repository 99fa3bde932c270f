"""The words of synthetic titles. Each genre has its own words, so that a title shows the genre."""

from __future__ import annotations

WORDS_OF_GENRE: dict[str, tuple[str, ...]] = {
    "Action": ("Iron", "Bullet", "Thunder", "Rogue", "Steel", "Deadly", "Burning", "Last"),
    "Animation": ("Little", "Magic", "Paper", "Flying", "Toy", "Singing", "Tiny", "Rainbow"),
    "Comedy": ("Crazy", "Lucky", "Wedding", "Clumsy", "Funny", "Holiday", "Crooked", "Mister"),
    "Drama": ("Quiet", "Broken", "Lonely", "Winter", "Distant", "Fading", "Silent", "Honest"),
    "Horror": ("Haunted", "Bloody", "Cursed", "Evil", "Screaming", "Hollow", "Rotten", "Buried"),
    "Romance": ("Sweet", "Tender", "Moonlit", "Endless", "Loving", "Secret", "Velvet", "First"),
    "Sci-Fi": ("Galactic", "Robot", "Quantum", "Solar", "Alien", "Lunar", "Cyber", "Orbital"),
    "Western": ("Dusty", "Outlaw", "Lonesome", "Prairie", "Wild", "Sheriff", "Canyon", "Desert"),
}
GENRES = tuple(WORDS_OF_GENRE)

ENDINGS = (
    "Garden", "River", "House", "Night", "Road", "City", "Heart", "Star", "Island", "Summer", "Shadow", "Dream",
    "Mountain", "Letter", "Dance", "Storm", "Window", "Journey", "Bridge", "Promise", "Stranger", "Harbor", "Morning",
    "Mirror", "Fortune", "Kingdom", "Valley", "Train", "Door", "Song",
)  # fmt: skip

# As MovieLens writes articles: "Haunted Garden, The (1987)"; an empty one leaves the title as it is.
OPENINGS = ("", "", "", "The", "A")
