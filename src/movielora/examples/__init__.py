"""Examples: a history, a candidate, and the answer if it is known."""
