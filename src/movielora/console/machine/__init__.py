"""Views of the machine commands."""
