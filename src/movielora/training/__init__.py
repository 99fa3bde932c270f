"""Config and examples in, adapter and run folder out."""
