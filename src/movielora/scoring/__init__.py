"""Yes or No from a model, for any rows."""
