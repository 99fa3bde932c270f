"""From an example to token ids."""
