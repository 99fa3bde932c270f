"""Views of the training commands."""
