"""A finished comparison on disk: its files, its figures, its rows."""
