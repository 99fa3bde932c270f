"""`analyze`: select rows of a finished comparison."""
