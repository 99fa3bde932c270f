"""A prepared dataset as columns."""
