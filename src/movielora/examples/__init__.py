"""Examples: a history, a candidate, and the answer where it is known."""
