"""`prepare`: ratings in, a dataset folder out."""
