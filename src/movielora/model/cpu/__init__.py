"""What is done only to be fast on a CPU."""
