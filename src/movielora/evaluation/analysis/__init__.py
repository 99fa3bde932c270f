"""`analyze`: the rows of a finished comparison."""
