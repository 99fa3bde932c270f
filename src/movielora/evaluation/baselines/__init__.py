"""Simple models that an adapter must beat."""
