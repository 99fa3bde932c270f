"""Sources of ratings: one module each, listed in `catalogue.py`."""
