"""Views of the results commands."""
