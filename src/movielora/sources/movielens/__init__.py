"""MovieLens: its three layouts, as folders and zips, and fetching it from GroupLens."""
