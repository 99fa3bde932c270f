"""Commands: machine."""
