"""Whose a file in a run folder is: what a run can prove to be its own, and how it writes more."""
