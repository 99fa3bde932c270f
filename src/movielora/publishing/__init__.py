"""Models in a form that other programs load."""
