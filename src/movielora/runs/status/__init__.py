"""What a run is doing, or how it ended."""
