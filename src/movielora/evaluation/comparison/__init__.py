"""`compare`: score the same rows with every model and measure every column."""
