"""Views of the data commands."""
