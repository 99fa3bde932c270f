"""What is done only to be fast, or small, on a CPU. Each file names the benchmark that measures it."""
