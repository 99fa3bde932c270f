"""Commands: results."""
