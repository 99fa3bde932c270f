"""Score examples: Yes or No from a model, as columns of a table."""
