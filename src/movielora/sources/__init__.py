"""Ratings from elsewhere: one file a source."""
