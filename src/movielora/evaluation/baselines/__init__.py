"""Simple models that an adapter must beat; `catalogue.py` lists them."""
