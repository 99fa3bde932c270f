"""From ratings to token ids."""
